//! Running the programs: built afresh, without a variable that was not given, watched, killed.

use tests::program::Program;

#[tokio::test]
async fn both_programs_say_what_they_are() {
    for program in [Program::migrate_db(), Program::migrate_s3()] {
        let outcome = program.arg("--version").run().await;
        outcome.assert_code(0).assert_without(&["AKIA"]);
        assert!(outcome.stdout.contains("migrate-"), "{outcome}");
    }
}
