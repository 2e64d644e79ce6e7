//! The tables of the page: findings, preflight, items, proof levels, settings.

use std::fmt::Write as _;

use super::escape::Escaped;
use crate::finding::{FindingKind, ProofLevel, Verdict};
use crate::report::headline::worst_first;
use crate::report::{CheckOutcome, Item, ItemState, Report};
use crate::units;

/// Digits of a digest that are shown; the whole is in the tooltip, in `report.json` and in the manifest.
const DIGEST_SHOWN: usize = 12;

pub(super) fn findings(page: &mut String, report: &Report) {
    page.push_str("<h2>Findings</h2>\n");
    if report.findings.is_empty() {
        page.push_str("<p class=\"soft\">None.</p>\n");
        return;
    }
    page.push_str(
        "<div class=\"wrap\"><table>\n<thead><tr><th>Kind<th>Item<th>Aspect<th>What was found</tr></thead>\n<tbody>\n",
    );
    for finding in worst_first(&report.findings) {
        let tone = match (finding.kind, finding.kind.verdict()) {
            (FindingKind::Note, _) => "soft",
            (_, Verdict::Different) => "bad",
            _ => "open",
        };
        let _ = writeln!(
            page,
            "<tr><td class=\"word {tone}\">{}<td class=\"name\">{}<td>{}<td class=\"detail\">{}</tr>",
            finding.kind.words(),
            Escaped(&finding.item),
            Escaped(&finding.aspect),
            Escaped(&finding.detail),
        );
    }
    page.push_str("</tbody>\n</table></div>\n");
    omitted(page, report.findings_omitted, "finding");
}

pub(super) fn preflight(page: &mut String, report: &Report) {
    if report.preflight.is_empty() {
        return;
    }
    page.push_str("<h2>Preflight</h2>\n<div class=\"wrap\"><table>\n<thead><tr><th>Outcome<th>Check<th>What was seen</tr></thead>\n<tbody>\n");
    // What failed comes first; checks with one outcome keep the order in which they were made.
    let mut checks: Vec<_> = report.preflight.iter().collect();
    checks.sort_by_key(|check| std::cmp::Reverse(check.outcome));
    for check in checks {
        let (sign, tone) = match check.outcome {
            CheckOutcome::Pass => ("✓", "good"),
            CheckOutcome::Warn => ("!", "open"),
            CheckOutcome::Fail => ("✗", "bad"),
        };
        let _ = write!(
            page,
            "<tr><td class=\"word {tone}\">{sign} {}<td class=\"name\">{}<td class=\"detail\">{}",
            check.outcome.word(),
            Escaped(&check.name),
            Escaped(&check.detail),
        );
        if let Some(fix) = &check.fix {
            let _ = write!(page, "<p class=\"fix\"><b>Next:</b> {}</p>", Escaped(fix));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody>\n</table></div>\n");
}

pub(super) fn items(page: &mut String, report: &Report) {
    if report.items.is_empty() {
        return;
    }
    let unit = &report.totals.unit;
    let _ = writeln!(page, "<h2>{} by {}</h2>", Escaped(&super::capitalised(unit)), Escaped(unit));
    tools(page, report);
    let rows = report.items.iter().any(|item| item.rows.is_some());
    let digests = report.items.iter().any(|item| item.digest_source.is_some());
    let remarks = report.items.iter().any(|item| item.remark.is_some());
    let mut head = vec![("", "Name"), ("", "State"), ("", "Proof")];
    if rows {
        head.push((" class=\"number-cell\"", "Rows"));
    }
    head.extend([(" class=\"number-cell\"", "Size"), (" class=\"number-cell\"", "Time")]);
    if digests {
        head.push(("", "Digest"));
    }
    if remarks {
        head.push(("", "Remark"));
    }
    page.push_str("<div class=\"wrap\"><table id=\"items\">\n<thead><tr>");
    for (class, name) in head {
        let _ = write!(page, "<th{class}>{name}");
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for item in &report.items {
        row(page, item, rows, digests, remarks);
    }
    page.push_str("</tbody>\n</table></div>\n");
    omitted(page, report.items_omitted, unit);
}

fn tools(page: &mut String, report: &Report) {
    page.push_str(
        "<div class=\"tools\" id=\"tools\" hidden><input id=\"search\" type=\"search\" placeholder=\"Search\" \
         aria-label=\"Search\"><select id=\"state\" aria-label=\"State\"><option value=\"\">every state</option>",
    );
    let mut states: Vec<&str> = report.items.iter().map(|item| item.state.words()).collect();
    states.sort_unstable();
    states.dedup();
    for state in states {
        let _ = write!(page, "<option>{state}</option>");
    }
    page.push_str("</select><span class=\"soft\" id=\"shown\" aria-live=\"polite\"></span></div>\n");
}

fn row(page: &mut String, item: &Item, rows: bool, digests: bool, remarks: bool) {
    let state = item.state.words();
    let tone = match item.state {
        ItemState::Copied | ItemState::Equal => "good",
        ItemState::Failed => "bad",
        ItemState::Skipped | ItemState::TargetOnly | ItemState::Pending => "open",
    };
    let _ = write!(
        page,
        "<tr data-state=\"{state}\"><td class=\"name\">{}<td class=\"word {tone}\">{state}<td data-value=\"{}\">{}",
        Escaped(&item.name),
        item.proof as u8,
        item.proof.word(),
    );
    let mut number = |value: String, text: String| {
        let _ = write!(page, "<td class=\"number-cell\" data-value=\"{value}\">{text}");
    };
    if rows {
        number(item.rows.map_or(-1.0, |rows| rows as f64).to_string(), item.rows.map(units::count).unwrap_or_default());
    }
    number(item.bytes.to_string(), units::bytes(item.bytes));
    number(format!("{:.3}", item.seconds), units::duration(item.seconds));
    if digests {
        page.push_str("<td class=\"digest\">");
        digest(page, item);
    }
    if remarks {
        let _ = write!(page, "<td class=\"detail\">{}", Escaped(item.remark.as_deref().unwrap_or_default()));
    }
    page.push_str("</tr>\n");
}

fn digest(page: &mut String, item: &Item) {
    let short = |digest: &str| {
        let shown: String = digest.chars().take(DIGEST_SHOWN).collect();
        if shown.len() < digest.len() { format!("{shown}…") } else { shown }
    };
    match (&item.digest_source, &item.digest_target) {
        (Some(source), Some(target)) if source == target => {
            let _ = write!(page, "<span title=\"both sides {0}\">{1}</span>", Escaped(source), Escaped(&short(source)));
        }
        (Some(source), Some(target)) => {
            let _ = write!(
                page,
                "<span title=\"source {}, target {}\">{}<br><span class=\"bad\">≠ {}</span></span>",
                Escaped(source),
                Escaped(target),
                Escaped(&short(source)),
                Escaped(&short(target)),
            );
        }
        (Some(one), None) | (None, Some(one)) => {
            let side = if item.digest_source.is_some() { "source" } else { "target" };
            let _ = write!(
                page,
                "<span title=\"{side} {}\">{} <span class=\"soft\">{side}</span></span>",
                Escaped(one),
                Escaped(&short(one)),
            );
        }
        (None, None) => {}
    }
}

fn omitted(page: &mut String, count: u64, unit: &str) {
    if count > 0 {
        let verb = if count == 1 { "is" } else { "are" };
        let _ = writeln!(
            page,
            "<p class=\"soft\">And {} more, which {verb} in <code>manifest.jsonl.zst</code>.</p>",
            Escaped(&units::counted(count, unit)),
        );
    }
}

pub(super) fn proof_levels(page: &mut String) {
    page.push_str("<h2>What the proof levels mean</h2>\n<dl class=\"pairs\">\n");
    let levels = [
        (ProofLevel::Reread, "Both sides were read in full and hashed by us. The strongest."),
        (
            ProofLevel::Linked,
            "The target validated a checksum of the bytes that we sent, and what we read is proved to be what the source holds.",
        ),
        (ProofLevel::Stored, "The target validated and stored a checksum of the bytes that we sent."),
        (ProofLevel::Size, "The sizes agree; nothing else is known."),
        (ProofLevel::None, "Nothing was proved."),
    ];
    for (level, meaning) in levels {
        let _ = writeln!(page, "<dt>{}</dt><dd>{meaning}</dd>", level.word());
    }
    page.push_str("</dl>\n");
}

pub(super) fn settings(page: &mut String, report: &Report) {
    if report.settings.is_empty() {
        return;
    }
    page.push_str("<h2>Settings</h2>\n<dl class=\"pairs\">\n");
    for (name, value) in &report.settings {
        let _ = writeln!(page, "<dt><code>{}</code></dt><dd>{}</dd>", Escaped(name), Escaped(value));
    }
    page.push_str("</dl>\n");
}
