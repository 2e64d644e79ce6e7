//! The rehearsal of the cutover comes to its end with the images under test, on a small estate.

use std::path::PathBuf;

use tests::engines::built_images;
use tests::rehearsal::{Options, cutover};

#[tokio::test(flavor = "multi_thread")]
async fn the_rehearsed_cutover_ends_with_everything_equal() {
    tokio::task::spawn_blocking(built_images).await.unwrap();
    let options = Options { scale_mb: 5, seed: 5, reports: PathBuf::new(), programs: PathBuf::new() };
    assert!(cutover(&options, "under-test").await.unwrap(), "the table above says which step");
}
