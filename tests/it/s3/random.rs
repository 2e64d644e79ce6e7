//! Kills and faults at random: nothing lost, nothing torn, nothing claimed that is not so.
//!
//! The seed is printed; `TEST_SEED` repeats a run, `TEST_ROUNDS` makes it longer.

use std::path::Path;
use std::time::Duration;

use tests::program::Program;
use tests::s3_server::{Fault, FaultRule, NewObject};

use super::{Estate, SOURCE, TARGET, run};

/// Rounds in the suite; a hundred are run by hand after changes to what they test.
const ROUNDS: u64 = 8;

/// The slowest of the estate's runs takes about this long; kills are spread over it.
const KILL_WITHIN: Duration = Duration::from_millis(1500);

fn of_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn seeded(test: &str) -> (fastrand::Rng, u64) {
    let seed = of_environment("TEST_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000));
    let rounds = of_environment("TEST_ROUNDS").unwrap_or(ROUNDS);
    println!("{test}: TEST_SEED={seed} TEST_ROUNDS={rounds}");
    (fastrand::Rng::with_seed(seed), rounds)
}

/// Small objects of all kinds and two that are copied in parts.
async fn estate(random: &mut fastrand::Rng) -> Estate {
    let estate = Estate::new().await;
    for index in 0..40 {
        let mut body = vec![0; random.usize(..60_000)];
        random.fill(&mut body);
        let mut new = NewObject::new(body).header("x-amz-meta-number", &index.to_string());
        if index % 3 == 0 {
            new = new.tag("kind", "third").without_checksum();
        }
        estate.server.put(SOURCE, &format!("folder {}//key {index:02}", index % 4), new);
    }
    for index in 0..2 {
        estate.server.put(SOURCE, &format!("large {index}"), NewObject::generated((20 << 20) + index, index));
    }
    estate
}

/// Every line of the manifest that says that an object is on the target must be true, whatever the verdict is.
fn assert_claims(estate: &Estate, report: &Path) {
    let Ok(manifest) = std::fs::read(report.join("manifest.jsonl.zst")) else { return };
    let manifest = zstd::decode_all(&manifest[..]).unwrap();
    for line in manifest.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let line: serde_json::Value = serde_json::from_slice(line).unwrap();
        if line["state"] == "copied" || line["state"] == "equal" {
            let key = line["key"].as_str().unwrap();
            let (source, target) = (estate.server.get(SOURCE, key), estate.server.get(TARGET, key));
            let body = |object: Option<tests::s3_server::StoredObject>| object.map(|object| object.body);
            assert_eq!(body(source), body(target), "claimed to be {} and is not: {line}", line["state"]);
        }
    }
}

/// What is on the target is whole: there is no object that is another than the source's.
fn assert_nothing_torn(estate: &Estate) {
    for key in estate.server.keys(TARGET) {
        let source = estate.server.get(SOURCE, &key).unwrap_or_else(|| panic!("{key:?} was invented"));
        assert_eq!(source.body, estate.server.get(TARGET, &key).unwrap().body, "{key:?} is torn");
    }
}

#[tokio::test]
async fn kills_at_random_moments_lose_and_tear_nothing() {
    let (mut random, rounds) = seeded("kills");
    let estate = estate(&mut random).await;
    let delay = |milliseconds| Fault::Delay(Duration::from_millis(milliseconds));
    estate.server.inject(FaultRule::new(delay(60)).bucket(TARGET).on("PutObject"));
    estate.server.inject(FaultRule::new(delay(250)).bucket(TARGET).on("UploadPart"));
    let state = tempfile::tempdir().unwrap();
    let program = estate.program().env("JOBS", "6").env("STATE", state.path().to_str().unwrap());
    for round in 0..rounds {
        // GIVEN a run, begun on an empty target now and then, that is killed or stopped at any moment
        if random.u8(..4) == 0 {
            for key in estate.server.keys(TARGET) {
                estate.server.remove(TARGET, &key);
            }
        }
        let after = KILL_WITHIN.mul_f64(random.f64());
        let mut running = program.spawn().await;
        tokio::time::sleep(after).await;
        if random.u8(..5) == 0 {
            running.terminate();
        } else {
            running.kill();
        }
        let outcome = running.wait().await;
        println!("round {round}: after {after:?}, exit {:?}", outcome.code);
        assert!(matches!(outcome.code, None | Some(0 | 143)), "{outcome}");
        assert_nothing_torn(&estate);
    }
    // WHEN the same command runs to its end
    estate.server.clear_faults();
    run(&program, 0).await;
    // THEN everything is there, and nothing else
    estate.assert_same();
    run(&estate.program().arg("--verify"), 0).await;
}

fn fault(random: &mut fastrand::Rng) -> FaultRule {
    let code = |status, code: &str| Fault::Fail { status, code: code.into() };
    let offset = random.u64(..30_000);
    let (fault, reads_only) = match random.u8(..12) {
        0 => (code(503, "SlowDown"), false),
        1 => (code(500, "InternalError"), false),
        2 => (Fault::DropConnection, false),
        3 => (Fault::LoseAnswer, false),
        4 => (Fault::CutBody(offset), true),
        5 => (Fault::FlipBit(offset), true),
        6 => (Fault::ContentRange("bytes 5-9/77".into()), true),
        7 => (Fault::ErrorWithStatus200("InternalError".into()), false),
        8 => (Fault::IgnoreConditions, false),
        9 => (Fault::IgnoreChecksums, false),
        10 => (Fault::RepeatPage, false),
        _ => (Fault::Delay(Duration::from_millis(300)), false),
    };
    let rule = FaultRule::new(fault).skip(random.u64(..30)).times(random.u64(1..6));
    match random.u8(..3) {
        _ if reads_only => rule.on("GetObject"),
        0 => rule.bucket(SOURCE),
        _ => rule.bucket(TARGET),
    }
}

/// Runs `program` under random faults and asserts that all it says is so.
async fn storm(estate: &Estate, program: &Program, random: &mut fastrand::Rng) {
    let report = tempfile::tempdir().unwrap();
    for _ in 0..random.usize(1..7) {
        let rule = fault(random);
        println!("  {rule:?}");
        estate.server.inject(rule);
    }
    let outcome = program.clone().env("REPORT", report.path().to_str().unwrap()).run().await;
    println!("  exit {:?}", outcome.code);
    estate.server.clear_faults();
    assert!(matches!(outcome.code, Some(0 | 3 | 4 | 5)), "{outcome}");
    assert_nothing_torn(estate);
    assert_claims(estate, report.path());
    if outcome.code == Some(0) {
        assert_eq!(estate.server.keys(TARGET), estate.server.keys(SOURCE), "{outcome}");
    }
}

#[tokio::test]
async fn random_faults_are_never_believed() {
    let (mut random, rounds) = seeded("faults");
    for round in 0..rounds {
        println!("round {round}");
        let estate = estate(&mut random).await;
        storm(&estate, &estate.program(), &mut random).await;
        run(&estate.program(), 0).await;
        estate.assert_same();
    }
}

#[tokio::test]
async fn answers_of_200_that_carry_an_error_are_never_believed() {
    for operation in ["GetObject", "HeadObject", "PutObject", "UploadPart", "CreateMultipartUpload", "ListObjectsV2"] {
        // GIVEN a store whose operation answers 200 and means an error, twice
        let estate = estate(&mut fastrand::Rng::with_seed(1)).await;
        let rule = FaultRule::new(Fault::ErrorWithStatus200("InternalError".into()));
        estate.server.inject(rule.on(operation).skip(3).times(2));
        // WHEN, THEN everything arrives nevertheless
        println!("{operation}");
        run(&estate.program(), 0).await;
        estate.server.clear_faults();
        estate.assert_same();
    }
}
