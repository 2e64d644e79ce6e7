//! A copy without reading back claims nothing, and is proved later by either of the two ways.

use super::pair::Pair;

const SCHEMA: &str = "
    CREATE TABLE kept (id integer PRIMARY KEY, note text, twice text GENERATED ALWAYS AS (note || note) STORED);
    INSERT INTO kept (id, note) SELECT n, 'note ' || n FROM generate_series(1, 20000) AS n;
    CREATE INDEX ON kept (note);
    CREATE TABLE empty (id integer PRIMARY KEY);";

#[tokio::test]
async fn what_is_only_copied_is_not_called_proved_and_can_be_proved_later() {
    let first = Pair::filled(15, 17, SCHEMA).await;
    for proof in [&["--repair"][..], &[]] {
        // GIVEN an empty target
        let pair = first.with_new_target().await;

        // WHEN the database is only copied
        let outcome = pair.program().arg("--copy-only").run().await;

        // THEN it is there, with its indexes, and nothing is claimed of it
        outcome.assert_code(6);
        assert_eq!(outcome.summary()["verdict"], "unproved", "{outcome}");
        assert_eq!(outcome.summary()["totals"]["copied"], 2, "{outcome}");
        assert_eq!(outcome.summary()["totals"]["failed"], 0, "{outcome}");
        assert!(outcome.stderr.contains("the rows were not read back, as --copy-only asks"), "{outcome}");
        assert_eq!(pair.target.text("SELECT count(*) FROM kept").await.as_deref(), Some("20000"));

        // AND it is proved later, also where the target was tampered with meanwhile
        pair.target.execute("UPDATE kept SET note = 'other' WHERE id = 77").await;
        let program = proof.iter().fold(pair.program(), |program, argument| program.arg(*argument));
        pair.assert_equal(&program.run().await);
        pair.assert_no_journal().await;
        assert_eq!(pair.target.text("SELECT twice FROM kept WHERE id = 77").await.as_deref(), Some("note 77note 77"));
    }
}
