//! `report.html`: one self-contained page for the person who signs the migration off.
//!
//! Pure text from a [`Report`]; the same report gives the same page. Complete without its script, which only adds
//! search and sorting. Its content security policy allows exactly the style and the script that are in it and no
//! connection to anywhere, and everything that comes from outside is escaped ([`escape::Escaped`]).

mod escape;
mod tables;
mod timeline;

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::Report;
use super::headline::{self, Headline, headline};
use crate::units;
use escape::Escaped;

const STYLE: &str = include_str!("html/report.css");
const SCRIPT: &str = include_str!("html/report.js");

/// The whole page.
pub(super) fn page(report: &Report) -> String {
    let mut page = String::with_capacity(32 * 1024 + report.items.len() * 512);
    let headline = headline(report);
    head(&mut page, report, &headline);
    verdict(&mut page, report, &headline);
    facts(&mut page, report);
    balance(&mut page, report);
    tables::findings(&mut page, report);
    tables::preflight(&mut page, report);
    timeline::section(&mut page, report);
    tables::items(&mut page, report);
    tables::proof_levels(&mut page);
    tables::settings(&mut page, report);
    footer(&mut page, report);
    page
}

/// The hash by which a content security policy names an inline style or script.
fn policy_hash(content: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(content)))
}

fn head(page: &mut String, report: &Report, headline: &Headline) {
    let environment = report.environment.as_deref().map(|name| format!(" · {name}")).unwrap_or_default();
    let title = format!("{}: {}{environment}", headline.word, report.program);
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en-GB\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src {}; script-src {}\">\n\
         <title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n",
        policy_hash(STYLE),
        policy_hash(SCRIPT),
        Escaped(&title),
    );
    let _ = writeln!(
        page,
        "<p class=\"over\">{}{}, run {}</p>",
        Escaped(&report.program),
        Escaped(&environment),
        Escaped(&report.run_id)
    );
}

fn verdict(page: &mut String, report: &Report, headline: &Headline) {
    let _ = writeln!(
        page,
        "<section class=\"verdict {}\">\n<p class=\"label\">{}</p>\n\
         <h1><span class=\"sign\" aria-hidden=\"true\">{}</span>{}</h1>\n<p>{}</p>",
        headline.tone,
        headline.label,
        headline.sign,
        headline.word,
        Escaped(&headline.sentence),
    );
    if let Some(failure) = &report.failure {
        let lines: Vec<String> = failure.lines().map(|line| Escaped(line).to_string()).collect();
        let _ = writeln!(page, "<pre>{}</pre>", lines.join("\n"));
    }
    page.push_str("</section>\n");
}

fn facts(page: &mut String, report: &Report) {
    page.push_str("<dl class=\"facts sides\">\n");
    side(page, "Source", &report.source);
    side(page, "Target", &report.target);
    page.push_str("</dl>\n<dl class=\"facts\">\n");
    let time = |time: jiff::Timestamp| time.strftime("%-d %B %Y, %H:%M:%S UTC").to_string();
    let seconds = headline::seconds(report);
    let facts = [
        ("Mode", report.mode.clone()),
        ("Environment", report.environment.clone().unwrap_or_else(|| "not named".into())),
        ("Started", time(report.started_at)),
        ("Ended", time(report.finished_at)),
        ("Took", units::duration(seconds)),
        ("Exit code", report.exit_code.to_string()),
    ];
    for (name, value) in facts {
        let _ = writeln!(page, "<div><dt>{name}</dt><dd>{}</dd></div>", Escaped(&value));
    }
    page.push_str("</dl>\n");
}

fn side(page: &mut String, name: &str, side: &super::Side) {
    let _ = writeln!(
        page,
        "<div><dt>{name}</dt><dd>{}<br><span class=\"soft\">{}</span></dd></div>",
        Escaped(&side.location),
        Escaped(&side.engine),
    );
}

fn balance(page: &mut String, report: &Report) {
    let balance = headline::balance(report);
    let _ = writeln!(page, "<h2>{}s</h2>\n<div class=\"balance\">", Escaped(&capitalised(&report.totals.unit)));
    term(page, "", report.totals.listed, "listed");
    let mut operator = balance.sign;
    for (number, word) in balance.terms {
        term(page, operator, number, word);
        operator = "+";
    }
    page.push_str("</div>\n");
    amounts(page, report);
}

fn term(page: &mut String, operator: &str, number: u64, word: &str) {
    let tone = if word == "failed" && number > 0 { " bad" } else { "" };
    let _ = write!(page, "<div class=\"pair\">");
    if !operator.is_empty() {
        let _ = write!(page, "<div class=\"operator\">{operator}</div>");
    }
    let _ = writeln!(
        page,
        "<div class=\"term{tone}\"><div class=\"number\">{}</div><div class=\"soft\">{word}</div></div></div>",
        units::count(number)
    );
}

fn amounts(page: &mut String, report: &Report) {
    let totals = &report.totals;
    let mut amounts = vec![("Data listed", units::bytes(totals.bytes_listed))];
    amounts.push(("Data copied", units::bytes(totals.bytes_copied)));
    if let Some(rows) = totals.rows {
        amounts.push(("Rows", units::count(rows)));
    }
    if let Some(per_second) = headline::bytes_per_second(report) {
        amounts.push(("Rate overall", units::rate(per_second)));
    }
    if totals.target_only > 0 {
        amounts.push(("Only on the target", units::count(totals.target_only)));
    }
    page.push_str("<dl class=\"facts\">\n");
    for (name, value) in amounts {
        let _ = writeln!(page, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    }
    page.push_str("</dl>\n");
}

fn footer(page: &mut String, report: &Report) {
    let _ = write!(
        page,
        "<footer>\n<p>Written by {} {}. Times are UTC, units decimal (1 MB is 1,000,000 bytes). Beside this page are \
         <code>report.json</code> (the same for machines, schema version {}), <code>manifest.jsonl.zst</code> (one line \
         for each part of the work, with its digests and proof) and <code>SHA256SUMS</code>: \
         <code>sha256sum --check SHA256SUMS</code> proves that none of them was changed since.</p>\n</footer>\n</main>\n\
         <script>{SCRIPT}</script>\n</body>\n</html>\n",
        Escaped(&report.program),
        Escaped(&report.version),
        report.schema_version,
    );
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    /// The page without what is the same in all of them.
    fn skeleton(report: &Report) -> String {
        page(report).replace(STYLE, "…style…").replace(SCRIPT, "…script…")
    }

    #[test]
    fn an_equal_run() {
        let mut report = sample::equal(3);
        report.timeline[1].spans.truncate(2);
        report.timeline.truncate(2);
        insta::assert_snapshot!(skeleton(&report));
    }

    #[test]
    fn hostile_names_stay_text() {
        let mut report = sample::objects(9);
        report.failure = Some("error: <img src=x onerror=alert(1)>\n  because: \"quoted\" & 'more'".into());
        report.environment = Some("</title><script>".into());
        report.timeline[0].name = "<b>".into();
        let page = skeleton(&report);
        for forbidden in ["<script>alert", "<img", "</title><script>", "<b>schema", "\u{202e}", "onerror=alert(1)>"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        assert_eq!(page.matches("<script>").count(), 1);
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        assert!(page.contains("\\u{202e}fdp.exe"));
    }

    #[test]
    fn nothing_is_loaded_from_anywhere() {
        let page = page(&sample::different());
        for forbidden in ["src=", "href=", "url(", "@import", "http://", "fetch("] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
    }

    #[test]
    fn the_same_report_gives_the_same_page() {
        assert_eq!(page(&sample::different()), page(&sample::different()));
    }

    /// For a look with one's own eyes: `REPORT_SAMPLES=DIR cargo test -p common samples`.
    #[test]
    fn samples_are_written_on_request() {
        let Some(directory) = std::env::var_os("REPORT_SAMPLES") else { return };
        let directory = std::path::PathBuf::from(directory);
        let mut stopped = sample::equal(32);
        stopped.verdict = crate::finding::Verdict::Stopped;
        stopped.exit_code = 143;
        stopped.totals.copied = 20;
        stopped.failure = Some("error: stopped by SIGTERM\n  next: run the same command again".into());
        for (name, report) in [
            ("equal", sample::equal(32)),
            ("different", sample::different()),
            ("dry-run", sample::dry_run()),
            ("stopped", stopped),
            ("objects", sample::objects(2_000)),
        ] {
            std::fs::write(directory.join(format!("{name}.html")), page(&report)).unwrap();
        }
    }
}
