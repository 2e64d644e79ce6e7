//! Small objects whose ETags are MD5s: the target is left to hold what it is sent against them.

use tests::s3_server::{Bucket, Fault, FaultRule, NewObject};

use super::{Estate, SOURCE, TARGET, assert_totals, run};

/// Copies three objects, of which the source keeps no checksum, one after the other, so that ETags are known to be MD5s from the
/// second one on. Expects all of them to arrive and to be linked to what the source says of them.
async fn copied(target: Bucket, rules: impl IntoIterator<Item = FaultRule>) -> Estate {
    let estate = Estate::with(Bucket::new(SOURCE), target).await;
    for key in ["a", "b", "c"] {
        estate.server.put(SOURCE, key, NewObject::new(format!("content of {key}")).without_checksum());
    }
    rules.into_iter().for_each(|rule| estate.server.inject(rule));
    let report = tempfile::tempdir().unwrap();
    let program = estate.program().env("JOBS", "1").env("REPORT", report.path().to_str().unwrap());
    let outcome = run(&program, 0).await;
    assert_totals(&outcome, [3, 3, 0, 0]);
    estate.server.clear_faults();
    estate.assert_same();
    let manifest = std::fs::read(report.path().join("manifest.jsonl.zst")).unwrap();
    let manifest = String::from_utf8(zstd::decode_all(&*manifest).unwrap()).unwrap();
    assert_eq!(manifest.matches(r#""proof":"linked""#).count(), 3, "{manifest}");
    estate
}

#[tokio::test]
async fn it_does_not_take_what_was_damaged_on_the_way_from_the_source() {
    // GIVEN a bit that flips on the way from the source, once
    let flip = FaultRule::new(Fault::FlipBit(4)).bucket(SOURCE).on("GetObject").key("b").times(1);
    // WHEN the object is migrated, THEN it is refused, read anew and sent anew, and was never there in another form
    let estate = copied(Bucket::new(TARGET).with_versioning(), [flip]).await;
    assert_eq!(estate.server.count(TARGET, "PutObject"), 4);
    assert_eq!(estate.server.versions(TARGET, "b").len(), 1);
}

#[tokio::test]
async fn what_it_takes_all_the_same_is_found_out_and_replaced() {
    // GIVEN the same, and a target that looks at nothing that comes with the object
    let flip = FaultRule::new(Fault::FlipBit(4)).bucket(SOURCE).on("GetObject").key("b").times(1);
    let ignore = FaultRule::new(Fault::IgnoreChecksums).bucket(TARGET).on("PutObject").key("b").times(1);
    // WHEN, THEN its ETag gives it away, and it is replaced
    let estate = copied(Bucket::new(TARGET).with_versioning(), [flip, ignore]).await;
    assert_eq!(estate.server.versions(TARGET, "b").len(), 2);
}

#[tokio::test]
async fn a_target_with_opaque_etags_is_held_against_our_own_md5() {
    copied(Bucket::new(TARGET).with_kms(), []).await;
}
