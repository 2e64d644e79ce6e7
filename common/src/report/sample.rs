//! Reports to test with: realistic, and the same on every run.

use std::collections::BTreeMap;

use super::{Check, Item, ItemState, Lane, Report, Side, Span, Totals, Written};
use crate::finding::{Finding, FindingKind, ProofLevel, Verdict};

const TABLES: [&str; 32] = [
    "lettings_logs",
    "sales_logs",
    "versions",
    "log_validations",
    "users",
    "organisations",
    "schemes",
    "locations",
    "bulk_uploads",
    "bulk_upload_errors",
    "csv_downloads",
    "csv_variable_definitions",
    "data_protection_confirmations",
    "la_rent_ranges",
    "la_sale_ranges",
    "la_purchase_price_ranges",
    "legacy_users",
    "local_authorities",
    "local_authority_links",
    "logs_exports",
    "merge_request_organisations",
    "merge_requests",
    "organisation_name_changes",
    "organisation_relationships",
    "organisation_rent_periods",
    "exports",
    "notifications",
    "scheme_deactivation_periods",
    "location_deactivation_periods",
    "user_notifications",
    "schema_migrations",
    "ar_internal_metadata",
];

/// Where a report was put.
pub(super) fn written() -> Written {
    let place = |name: &str| format!("target/demo/db/{name}");
    Written {
        location: "target/demo/db".into(),
        html: place("report.html"),
        json: place("report.json"),
        manifest: place("manifest.jsonl.zst"),
        sums: place("SHA256SUMS"),
    }
}

/// A migration of `count` tables whose verdict is `equal`.
pub(super) fn equal(count: usize) -> Report {
    let items: Vec<Item> = (0..count).map(table).collect();
    let bytes = items.iter().map(|item| item.bytes).sum();
    let count = count as u64;
    Report {
        schema_version: super::model::SCHEMA_VERSION,
        program: "migrate-db".into(),
        version: "0.1.0".into(),
        run_id: "0197c0de-7a11-7000-8000-00000000c0de".into(),
        mode: "migrate".into(),
        environment: Some("production".into()),
        started_at: "2026-03-01T21:14:02Z".parse().unwrap(),
        finished_at: "2026-03-01T21:14:16.2Z".parse().unwrap(),
        source: Side {
            location: "postgresql://rdsbroker-5f3a.eu-west-2.rds.amazonaws.com:5432/core".into(),
            engine: "PostgreSQL 13.20".into(),
        },
        target: Side {
            location: "postgresql://core-prod.eu-west-2.rds.amazonaws.com:5432/data_collector".into(),
            engine: "PostgreSQL 17.4".into(),
        },
        verdict: Verdict::Equal,
        exit_code: 0,
        failure: None,
        totals: Totals {
            unit: "table".into(),
            listed: count,
            copied: count,
            bytes_listed: bytes,
            bytes_copied: bytes,
            rows: Some(items.iter().filter_map(|item| item.rows).sum()),
            ..Totals::default()
        },
        preflight: vec![
            Check::pass("source answers", "PostgreSQL 13.20, 3 ms"),
            Check::pass("target is empty", "no tables in schema public"),
            Check::warn(
                "target's version",
                "17 is newer than the source's 13",
                "run the application's tests on 17 first",
            ),
        ],
        settings: BTreeMap::from(
            [("jobs", "4"), ("segment_bytes_max", "268435456"), ("pg_dump", "17.4")].map(|(a, b)| (a.into(), b.into())),
        ),
        items,
        items_omitted: 0,
        findings: Vec::new(),
        findings_omitted: 0,
        timeline: timeline(),
    }
}

/// A verification that found three things.
pub(super) fn different() -> Report {
    let mut report = equal(32);
    report.mode = "verify".into();
    report.verdict = Verdict::Different;
    report.exit_code = 4;
    report.totals = Totals { copied: 0, equal: 30, failed: 2, bytes_copied: 0, target_only: 1, ..report.totals };
    for item in &mut report.items {
        item.state = ItemState::Equal;
    }
    for index in [4, 8] {
        let item = &mut report.items[index];
        item.state = ItemState::Failed;
        item.digest_target = Some("0badc0de".repeat(4));
        item.remark = Some("1 row differs".into());
    }
    report.findings = vec![
        Finding::new(FindingKind::Note, "public", "sequence", "last value 4,711 is above the highest id 4,700"),
        Finding::new(FindingKind::TargetOnly, "public.scratch", "table", "the source has no such table"),
        Finding::new(FindingKind::Differs, "public.users", "rows", "1 of 12,345 rows differs; key id 42"),
        Finding::new(FindingKind::SourceOnly, "public.bulk_uploads", "rows", "1 row is missing on the target"),
    ];
    report
}

/// A dry run with something to warn of.
pub(super) fn dry_run() -> Report {
    let mut report = equal(32);
    report.mode = "dry-run".into();
    report.totals = Totals { copied: 0, bytes_copied: 0, rows: None, ..report.totals };
    for item in &mut report.items {
        item.state = ItemState::Pending;
        item.proof = ProofLevel::None;
        (item.digest_source, item.digest_target) = (None, None);
    }
    report.timeline.clear();
    report
}

/// A migration of `count` objects, with names that mean harm.
pub(super) fn objects(count: usize) -> Report {
    let mut report = equal(0);
    report.program = "migrate-s3".into();
    report.source = Side { location: "s3://paas-s3-broker-prod-lon-5f3a/".into(), engine: "S3 in eu-west-2".into() };
    report.target = Side { location: "s3://core-prod-bulk-upload/".into(), engine: "S3 in eu-west-2".into() };
    report.items = (0..count)
        .map(|index| Item {
            name: match index {
                3 => "<script>alert(1)</script>".into(),
                7 => "a\"b'c&d\n\u{202e}fdp.exe".into(),
                _ => format!("{:08x}-5f3a-4c1b-9d2e-{:012x}", index * 2_654_435_761 % 0xffff_ffff, index * 97),
            },
            rows: None,
            bytes: (index as u64 + 1) * 7919 % 40_000_000,
            digest_source: Some(format!("{0:032x}{0:032x}", (index as u128 + 7).wrapping_mul(u128::MAX / 1013))),
            digest_target: Some(format!("{0:032x}{0:032x}", (index as u128 + 7).wrapping_mul(u128::MAX / 1013))),
            proof: if index % 7 == 0 { ProofLevel::Reread } else { ProofLevel::Linked },
            ..table(index % 32)
        })
        .collect();
    let bytes = report.items.iter().map(|item| item.bytes).sum();
    let count = count as u64;
    report.totals = Totals {
        unit: "object".into(),
        listed: count + 5_000,
        copied: count + 5_000,
        bytes_listed: bytes,
        bytes_copied: bytes,
        ..Totals::default()
    };
    report.items_omitted = 5_000;
    report
}

fn table(index: usize) -> Item {
    let rows = 1_204_331_u64 >> (index / 2);
    Item {
        name: format!("public.{}", TABLES[index % TABLES.len()]),
        state: ItemState::Copied,
        proof: ProofLevel::Reread,
        bytes: rows * 173,
        rows: Some(rows),
        digest_source: Some(format!(
            "{:032x}",
            0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835_u128.wrapping_mul(index as u128 + 1)
        )),
        digest_target: Some(format!(
            "{:032x}",
            0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835_u128.wrapping_mul(index as u128 + 1)
        )),
        seconds: rows as f64 / 250_000.0,
        remark: None,
    }
}

fn timeline() -> Vec<Lane> {
    let span = |label: &str, kind: &str, start_ms: u64, end_ms: u64| Span {
        label: label.into(),
        kind: kind.into(),
        start_ms,
        end_ms,
    };
    let mut lanes = vec![Lane {
        name: "schema".into(),
        spans: vec![
            span("pre-data", "schema", 300, 1400),
            span("post-data", "constraint", 9600, 10_800),
            span("analyze", "analyze", 10_800, 11_300),
        ],
    }];
    for worker in 0..4_usize {
        let mut spans = Vec::new();
        let mut at = 1400 + 40 * worker as u64;
        for index in (worker..32).step_by(4) {
            let length = 2600_u64 >> (index / 4);
            spans.push(span(&format!("public.{}", TABLES[index]), "copy", at, at + length));
            at += length + 15;
        }
        spans.push(span(&format!("index {worker} of lettings_logs"), "index", at, at + 1900));
        spans.push(span("waiting for a slot", "wait", at + 1900, at + 2300));
        spans.push(span("verify", "verify", 11_300 + 100 * worker as u64, 14_100 - 150 * worker as u64));
        lanes.push(Lane { name: format!("worker {}", worker + 1), spans });
    }
    lanes
}
