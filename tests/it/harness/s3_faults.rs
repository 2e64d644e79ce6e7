//! The embedded S3 server's faults: each does what it says, once for each time it was asked for, and is counted.

use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use tests::s3_server::{Fault, FaultRule, NewObject};

use super::s3_objects::{failure, server};

#[tokio::test]
async fn a_failure_befalls_the_requests_it_was_meant_for() {
    let (server, owner) = server().await;
    let client = server.client(&owner);
    let put = |key: &'static str| client.put_object().bucket("plain").key(key).send();
    server.inject(FaultRule::fail(503, "SlowDown").bucket("plain").on("PutObject").skip(1).times(2));

    put("first").await.unwrap();
    assert_eq!(failure(put("second").await), ("SlowDown".to_owned(), 503));
    assert_eq!(failure(put("third").await), ("SlowDown".to_owned(), 503));
    put("fourth").await.unwrap();

    assert_eq!(server.keys("plain"), ["first", "fourth"]);
    assert_eq!(server.count("plain", "PutObject"), 4);
    server.reset_counts();
    assert!(server.counts("plain").is_empty());
}

#[tokio::test]
async fn a_body_is_cut_flipped_or_stalled() {
    let (server, owner) = server().await;
    let client = server.client(&owner);
    // With a stored checksum the SDK itself would notice the flipped bit.
    server.put("plain", "o", NewObject::new("0123456789").without_checksum());
    let get = || client.get_object().bucket("plain").key("o").send();

    server.inject(FaultRule::new(Fault::CutBody(4)).on("GetObject").times(1));
    assert!(get().await.unwrap().body.collect().await.is_err());
    server.inject(FaultRule::new(Fault::FlipBit(3)).on("GetObject").times(1));
    assert_eq!(get().await.unwrap().body.collect().await.unwrap().into_bytes(), "0122456789");
    server.inject(FaultRule::new(Fault::StallBody(4)).on("GetObject").times(1));
    let stalled = tokio::time::timeout(Duration::from_millis(200), get().await.unwrap().body.collect()).await;
    assert!(stalled.is_err());
    server.inject(FaultRule::new(Fault::ContentRange("bytes 0-9/11".to_owned())).on("GetObject").times(1));
    assert_eq!(get().await.unwrap().content_range(), Some("bytes 0-9/11"));
    assert_eq!(get().await.unwrap().body.collect().await.unwrap().into_bytes(), "0123456789");

    server.corrupt_byte("plain", "o", 0);
    let etag = server.get("plain", "o").unwrap().etag;
    let rotten = get().await.unwrap();
    assert_eq!(rotten.e_tag(), Some(format!("\"{etag}\"").as_str()));
    assert_eq!(rotten.body.collect().await.unwrap().into_bytes(), "1123456789");
}

#[tokio::test]
async fn a_lost_answer_leaves_its_effect_and_a_dropped_request_none() {
    let (server, owner) = server().await;
    let client = server.client(&owner);
    server.inject(FaultRule::new(Fault::LoseAnswer).key("lost"));
    server.inject(FaultRule::new(Fault::DropConnection).key("dropped"));
    server.inject(FaultRule::new(Fault::ErrorWithStatus200("InternalError".to_owned())).on("CopyObject"));
    let put = |key: &'static str| client.put_object().bucket("plain").key(key).send();

    assert!(put("lost").await.is_err());
    assert!(put("dropped").await.is_err());
    assert_eq!(server.keys("plain"), ["lost"]);
    let copied = client.copy_object().bucket("plain").key("copy").copy_source("plain/lost").send().await;
    assert_eq!(failure(copied), ("InternalError".to_owned(), 200));
}

#[tokio::test]
async fn a_store_can_be_too_old_for_checksums_conditions_and_tags() {
    let (server, owner) = server().await;
    let client = server.client(&owner);
    server.put("plain", "o", NewObject::new("x").tag("a", "b"));

    server.inject(FaultRule::new(Fault::IgnoreChecksums).on("PutObject"));
    let wrong = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
    let put = client.put_object().bucket("plain").key("p").body(ByteStream::from_static(b"other"));
    assert_eq!(put.checksum_sha256(wrong).send().await.unwrap().checksum_sha256(), None);
    assert_eq!(server.get("plain", "p").unwrap().checksum, None);

    server.inject(FaultRule::new(Fault::IgnoreConditions).on("GetObject"));
    client.get_object().bucket("plain").key("o").if_match("\"nothing\"").send().await.unwrap();

    server.clear_faults();
    server.inject(FaultRule::new(Fault::NoTagging));
    let tags = client.get_object_tagging().bucket("plain").key("o").send().await;
    assert_eq!(failure(tags), ("NotImplemented".to_owned(), 501));
    assert_eq!(client.get_object().bucket("plain").key("o").send().await.unwrap().tag_count(), None);
}

#[tokio::test]
async fn pages_of_a_listing_come_twice_or_backwards() {
    let (server, owner) = server().await;
    let client = server.client(&owner);
    for key in ["a", "b", "c", "d"] {
        server.put("plain", key, NewObject::new(""));
    }
    let page = |token: Option<String>| {
        let request = client.list_objects_v2().bucket("plain").max_keys(2).set_continuation_token(token).send();
        async move {
            let page = request.await.unwrap();
            let keys: Vec<_> = page.contents().iter().map(|object| object.key().unwrap().to_owned()).collect();
            (keys.concat(), page.next_continuation_token)
        }
    };

    let (first, token) = page(None).await;
    server.inject(FaultRule::new(Fault::RepeatPage).on("ListObjectsV2").times(1));
    let (again, _) = page(token.clone()).await;
    server.inject(FaultRule::new(Fault::ReversePage).on("ListObjectsV2").times(1));
    let (backwards, _) = page(token).await;
    assert_eq!((first.as_str(), again.as_str(), backwards.as_str()), ("ab", "ab", "dc"));
}
