//! Databases whose objects only look different, and differences that are easy to overlook.

use super::pair::Pair;

/// Lists of conditions within lists: what `BETWEEN`, comparisons of rows and `IN` over columns are made of.
const CONDITIONS: &str = "a BETWEEN 1 AND 2 AND b > 0 AND (a, b) <> (3, 4) OR a NOT BETWEEN 5 AND 6 OR a IN (b, 7)";

#[tokio::test]
async fn lists_of_conditions_that_a_restored_server_prints_otherwise_are_no_difference() {
    for (source, target) in [(13, 17), (18, 18)] {
        // GIVEN conditions that begin with a list of conditions, wherever there can be some
        let statements = format!(
            "CREATE TABLE t (a integer, b integer, g boolean GENERATED ALWAYS AS ({CONDITIONS}) STORED,
                             CONSTRAINT range CHECK (a BETWEEN 1 AND 2 AND b BETWEEN 3 AND 4 AND a <> b));
             CREATE INDEX part ON t (a) WHERE {CONDITIONS};
             CREATE VIEW v AS SELECT a FROM t WHERE {CONDITIONS};
             CREATE POLICY p ON t USING ({CONDITIONS});
             CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
             CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW WHEN (NEW.a BETWEEN 1 AND 2 AND NEW.b > 0) EXECUTE FUNCTION f();
             CREATE DOMAIN d AS integer CHECK (VALUE BETWEEN 1 AND 10 AND VALUE <> 5)"
        );
        let pair = Pair::filled(source, target, &statements).await;

        // WHEN they are migrated, THEN all is equal
        pair.migrate().await;

        // AND one that really is another is named
        pair.target
            .execute("ALTER TABLE t DROP CONSTRAINT range, ADD CONSTRAINT range CHECK (a BETWEEN 1 AND 2 AND b BETWEEN 3 AND 5 AND a <> b)")
            .await;
        let outcome = pair.verify().await;
        outcome.assert_code(4);
    }
}
