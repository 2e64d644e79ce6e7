//! The estate of the service itself, small: all its tables with their real widths, keys and indexes.

use tests::estate::Estate;

use super::pair::Pair;

#[tokio::test]
async fn the_services_own_database_arrives() {
    // GIVEN the generated estate on a server as old as the platform's
    let pair = Pair::new(13, 17).await;
    let estate = Estate::new(20_240_401, 5);
    estate.create_database(&pair.source.connect().await).await.unwrap();
    let report = tempfile::tempdir().unwrap();

    // WHEN it is migrated
    let outcome = pair.program().env("REPORT", report.path().display().to_string()).run().await;

    // THEN every table is equal, and the report has them all with their rows
    pair.assert_equal(&outcome);
    let text = std::fs::read_to_string(report.path().join("report.json")).unwrap();
    assert!(!text.contains(pair.source.engine.password()));
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    let items = report["items"].as_array().unwrap();
    assert_eq!(items.len(), estate.tables().len());
    for table in estate.tables() {
        let name = format!("public.{}", table.name);
        let item =
            items.iter().find(|item| item["name"] == name).unwrap_or_else(|| panic!("{name} is not in the report"));
        assert_eq!(item["rows"], estate.row_count(table.name), "{name}");
        assert_eq!(item["proof"], "reread", "{name}");
        assert_eq!(item["digest_source"], item["digest_target"], "{name}");
    }

    // AND statistics are there, so that the first query is planned well
    let analysed = "SELECT count(*) > 0 FROM pg_stats WHERE tablename = 'lettings_logs'";
    assert_eq!(pair.target.text(analysed).await.as_deref(), Some("true"));
}
