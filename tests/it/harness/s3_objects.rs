//! The embedded S3 server: accounts, keys, metadata, checksums, conditions, listings.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, Delete, EncodingType, ObjectIdentifier, ServerSideEncryption, StorageClass,
};
use tests::s3_server::{Account, Bucket, Config, NewObject, S3Server, client_of};

/// An account for each side, and a bucket in KMS mode.
pub(super) async fn server() -> (S3Server, Account) {
    let owner = Account::new("AKIAOWNER", "owner-secret", &["plain", "locked-kms", "regional"]);
    let other = Account::new("AKIAOTHER", "other-secret", &["others"]);
    let config = Config {
        accounts: vec![owner.clone(), other],
        buckets: vec![
            Bucket::new("plain"),
            Bucket::new("locked-kms").with_kms().with_lifecycle(30, 1),
            Bucket::new("regional").in_region("eu-west-1"),
            Bucket::new("others"),
        ],
    };
    (S3Server::start(config).await.unwrap(), owner)
}

/// S3's error code and the HTTP status of a failed request.
pub(super) fn failure<T, E: ProvideErrorMetadata>(
    result: Result<T, SdkError<E, aws_sdk_s3::config::http::HttpResponse>>,
) -> (String, u16) {
    let Err(error) = result else { panic!("the request should have failed") };
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    (error.code().unwrap_or_default().to_owned(), status)
}

async fn put(client: &Client, bucket: &str, key: &str, body: &[u8]) {
    client.put_object().bucket(bucket).key(key).body(ByteStream::from(body.to_vec())).send().await.unwrap();
}

#[tokio::test]
async fn who_may_not_is_told_why() {
    let (server, owner) = server().await;
    let stranger = Account::new("AKIANOBODY", "owner-secret", &[]);
    let forger = Account::new("AKIAOWNER", "wrong", &[]);
    let list = |client: Client, bucket: &'static str| async move {
        failure(client.list_objects_v2().bucket(bucket).send().await)
    };

    assert_eq!(list(server.client(&stranger), "plain").await, ("InvalidAccessKeyId".to_owned(), 403));
    assert_eq!(list(server.client(&forger), "plain").await, ("SignatureDoesNotMatch".to_owned(), 403));
    assert_eq!(list(server.client(&owner), "others").await, ("AccessDenied".to_owned(), 403));
    assert_eq!(list(server.client(&owner), "nowhere").await, ("NoSuchBucket".to_owned(), 404));
    assert_eq!(list(server.client(&owner), "regional").await, ("AuthorizationHeaderMalformed".to_owned(), 400));
    let right_region = client_of(&server.endpoint(), &owner, "eu-west-1");
    right_region.head_bucket().bucket("regional").send().await.unwrap();
    let region = right_region.get_bucket_location().bucket("regional").send().await.unwrap();
    assert_eq!(region.location_constraint().unwrap().as_str(), "eu-west-1");
}

#[tokio::test]
async fn a_wrong_region_answer_names_the_right_one() {
    let (server, owner) = server().await;
    let error = server.client(&owner).head_bucket().bucket("regional").send().await.unwrap_err();
    assert_eq!(error.raw_response().unwrap().headers().get("x-amz-bucket-region"), Some("eu-west-1"));
}

#[tokio::test]
async fn any_key_is_kept_byte_for_byte_and_listed_in_byte_order() {
    let (server, owner) = server().await;
    let client = server.client(&owner);
    let mut keys: Vec<String> = [
        "a",
        "a/",
        "a//b",
        "/",
        "//",
        "/leading",
        ".",
        "..",
        "../up",
        "a/./b",
        "a/../b",
        "trailing/",
        "with space",
        "with+plus",
        "percent%20literal",
        "ünïcödé",
        "\u{1}control",
        "tab\there",
        "new\nline",
        "q?query=1&x",
        "hash#",
        "emoji🦀",
        "~tilde",
        "*star",
        "quote'\"",
        "<xml>&amp;",
        "\u{ffff}",
    ]
    .map(str::to_owned)
    .to_vec();
    keys.push("k".repeat(1024));
    keys.push("é".repeat(512));
    for key in &keys {
        put(&client, "plain", key, key.as_bytes()).await;
    }
    keys.sort();

    assert_eq!(server.keys("plain"), keys);
    for key in &keys {
        let got = client.get_object().bucket("plain").key(key).send().await.unwrap();
        assert_eq!(got.body.collect().await.unwrap().into_bytes(), key.as_bytes(), "{key:?}");
        client.head_object().bucket("plain").key(key).send().await.unwrap();
    }
    assert_eq!(list_all(&client, "plain", 4).await, keys);

    let too_long = "k".repeat(1025);
    let refused = client.put_object().bucket("plain").key(too_long).send().await;
    assert_eq!(failure(refused), ("KeyTooLongError".to_owned(), 400));
}

/// All keys, page by page with url encoding, decoded as every client of S3 decodes them.
async fn list_all(client: &Client, bucket: &str, page: i32) -> Vec<String> {
    let mut keys = Vec::new();
    let mut token = None;
    loop {
        let request = client.list_objects_v2().bucket(bucket).max_keys(page).encoding_type(EncodingType::Url);
        let answer = request.set_continuation_token(token).send().await.unwrap();
        for object in answer.contents() {
            let spaced = object.key().unwrap().replace('+', " ");
            keys.push(percent_encoding::percent_decode_str(&spaced).decode_utf8().unwrap().into_owned());
        }
        assert_eq!(answer.is_truncated(), Some(answer.next_continuation_token().is_some()));
        token = answer.next_continuation_token().map(str::to_owned);
        if token.is_none() {
            return keys;
        }
    }
}

#[tokio::test]
async fn everything_that_travels_with_an_object_is_kept() {
    let (server, owner) = server().await;
    let client = server.client(&owner);
    client
        .put_object()
        .bucket("plain")
        .key("object")
        .body(ByteStream::from_static(b"a,b\n"))
        .content_type("text/csv; charset=utf-8")
        .cache_control("no-store")
        .content_disposition("attachment; filename=\"a.csv\"")
        .content_encoding("gzip")
        .content_language("en-GB, cy")
        .expires(DateTime::from_secs(1_700_000_000))
        .metadata("owner", "team a")
        .website_redirect_location("/other")
        .storage_class(StorageClass::StandardIa)
        .tagging("class=secret&empty=&spaced%20key=a%26b")
        .send()
        .await
        .unwrap();

    let got = client.get_object().bucket("plain").key("object").send().await.unwrap();
    assert_eq!(got.content_type(), Some("text/csv; charset=utf-8"));
    assert_eq!(got.cache_control(), Some("no-store"));
    assert_eq!(got.content_disposition(), Some("attachment; filename=\"a.csv\""));
    assert_eq!(got.content_encoding(), Some("gzip"));
    assert_eq!(got.content_language(), Some("en-GB, cy"));
    assert_eq!(got.expires_string(), Some("Tue, 14 Nov 2023 22:13:20 GMT"));
    assert_eq!(got.metadata().unwrap()["owner"], "team a");
    assert_eq!(got.website_redirect_location(), Some("/other"));
    assert_eq!(got.storage_class(), Some(&StorageClass::StandardIa));
    assert_eq!(got.tag_count(), Some(3));

    let tags = client.get_object_tagging().bucket("plain").key("object").send().await.unwrap();
    let tags: Vec<_> = tags.tag_set().iter().map(|tag| (tag.key(), tag.value())).collect();
    assert_eq!(tags, [("class", "secret"), ("empty", ""), ("spaced key", "a&b")]);
    client.delete_object_tagging().bucket("plain").key("object").send().await.unwrap();
    let tags = client.get_object_tagging().bucket("plain").key("object").send().await.unwrap();
    assert!(tags.tag_set().is_empty());

    let copied = client.copy_object().bucket("plain").key("copy").copy_source("plain/object").send().await.unwrap();
    assert!(copied.copy_object_result().unwrap().e_tag().is_some());
    let original = server.get("plain", "object").unwrap();
    let copy = server.get("plain", "copy").unwrap();
    assert_eq!((copy.body, &copy.headers["content-type"]), (original.body, &original.headers["content-type"]));
}

#[tokio::test]
async fn a_body_without_a_type_has_the_one_that_s3_gives_it() {
    let (server, owner) = server().await;
    server.put("plain", "untyped", NewObject::new("x"));
    let head = server.client(&owner).head_object().bucket("plain").key("untyped").send().await.unwrap();
    assert_eq!(head.content_type(), Some("binary/octet-stream"));
}

#[tokio::test]
async fn a_checksum_that_does_not_match_is_refused_and_one_that_does_is_kept() {
    let (server, owner) = server().await;
    let client = server.client(&owner);
    let sha256_of_abc = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
    let request = || client.put_object().bucket("plain").key("object");

    let wrong = request().body(ByteStream::from_static(b"abd")).checksum_sha256(sha256_of_abc).send().await;
    assert_eq!(failure(wrong), ("BadDigest".to_owned(), 400));
    let wrong = request().body(ByteStream::from_static(b"abd")).content_md5("kAFQmDzST7DWlj99KOF/cg==").send().await;
    assert_eq!(failure(wrong), ("BadDigest".to_owned(), 400));
    assert!(server.keys("plain").is_empty());

    let kept = request().body(ByteStream::from_static(b"abc")).checksum_sha256(sha256_of_abc).send().await.unwrap();
    assert_eq!(kept.checksum_sha256(), Some(sha256_of_abc));
    assert_eq!(kept.e_tag(), Some("\"900150983cd24fb0d6963f7d28e17f72\""));
    let head = client.head_object().bucket("plain").key("object").send().await.unwrap();
    assert_eq!(head.checksum_sha256(), None);
    let mode = ChecksumMode::Enabled;
    let head = client.head_object().bucket("plain").key("object").checksum_mode(mode.clone()).send().await.unwrap();
    assert_eq!(head.checksum_sha256(), Some(sha256_of_abc));

    // A trailer, as the SDK sends when it computes the value itself.
    let body = ByteStream::from_static(b"abc");
    let kept = request().body(body).checksum_algorithm(ChecksumAlgorithm::Crc32C).send().await.unwrap();
    assert!(kept.checksum_crc32_c().is_some());

    server.put("plain", "unnamed", NewObject::new("123456789"));
    let head = client.head_object().bucket("plain").key("unnamed").checksum_mode(mode).send().await.unwrap();
    assert_eq!(head.checksum_crc64_nvme(), Some("rosUhgp5mIg="));
}

#[tokio::test]
async fn a_kms_bucket_has_opaque_etags_and_says_so() {
    let (server, owner) = server().await;
    let client = server.client(&owner);
    let put =
        client.put_object().bucket("locked-kms").key("o").body(ByteStream::from_static(b"abc")).send().await.unwrap();
    assert_eq!(put.server_side_encryption(), Some(&ServerSideEncryption::AwsKms));
    assert_ne!(put.e_tag(), Some("\"900150983cd24fb0d6963f7d28e17f72\""));
    assert_eq!(put.e_tag().unwrap().len(), 34);

    let lifecycle = client.get_bucket_lifecycle_configuration().bucket("locked-kms").send().await.unwrap();
    assert_eq!(lifecycle.rules()[0].expiration().unwrap().days(), Some(30));
    let encryption = client.get_bucket_encryption().bucket("locked-kms").send().await.unwrap();
    let rule = &encryption.server_side_encryption_configuration().unwrap().rules()[0];
    let default = rule.apply_server_side_encryption_by_default().unwrap();
    assert_eq!(default.sse_algorithm(), &ServerSideEncryption::AwsKms);
    let none = client.get_bucket_lifecycle_configuration().bucket("plain").send().await;
    assert_eq!(failure(none), ("NoSuchLifecycleConfiguration".to_owned(), 404));
    let versioning = client.get_bucket_versioning().bucket("plain").send().await.unwrap();
    assert_eq!(versioning.status(), None);
}

#[tokio::test]
async fn conditions_hold_on_reads_and_writes() {
    let (server, owner) = server().await;
    let client = server.client(&owner);
    put(&client, "plain", "o", b"one").await;
    let etag = server.get("plain", "o").unwrap().etag;
    put(&client, "plain", "o", b"two").await;

    let torn = client.get_object().bucket("plain").key("o").if_match(format!("\"{etag}\"")).send().await;
    assert_eq!(failure(torn), ("PreconditionFailed".to_owned(), 412));
    let exists = client.put_object().bucket("plain").key("o").if_none_match("*").send().await;
    assert_eq!(failure(exists), ("PreconditionFailed".to_owned(), 412));
    client.put_object().bucket("plain").key("new").if_none_match("*").send().await.unwrap();
    let etag = server.get("plain", "o").unwrap().etag;
    let same = client.get_object().bucket("plain").key("o").if_none_match(format!("\"{etag}\"")).send().await;
    assert_eq!(failure(same).1, 304);
}

#[tokio::test]
async fn ranges_are_the_bytes_that_were_asked_for() {
    let (server, owner) = server().await;
    let client = server.client(&owner);
    server.put("plain", "o", NewObject::new("0123456789"));
    server.put("plain", "empty", NewObject::new(""));
    let get = |range: &'static str| client.get_object().bucket("plain").key("o").range(range);

    let part = get("bytes=2-4").send().await.unwrap();
    assert_eq!(part.content_range(), Some("bytes 2-4/10"));
    assert_eq!(part.body.collect().await.unwrap().into_bytes(), "234");
    let tail = get("bytes=-3").send().await.unwrap();
    assert_eq!(tail.body.collect().await.unwrap().into_bytes(), "789");
    assert_eq!(failure(get("bytes=10-").send().await), ("InvalidRange".to_owned(), 416));
    let empty = client.get_object().bucket("plain").key("empty").send().await.unwrap();
    assert_eq!(empty.content_length(), Some(0));
    assert!(empty.body.collect().await.unwrap().into_bytes().is_empty());
}

#[tokio::test]
async fn a_listing_groups_by_delimiter_and_goes_on_where_it_stopped() {
    let (server, owner) = server().await;
    let client = server.client(&owner);
    for key in ["a", "b/1", "b/2", "b/c/3", "c", "d/1", "e"] {
        server.put("plain", key, NewObject::new(""));
    }
    let mut found = Vec::new();
    let mut token = None;
    loop {
        let request = client.list_objects_v2().bucket("plain").delimiter("/").max_keys(2);
        let page = request.set_continuation_token(token).send().await.unwrap();
        assert!(page.key_count().unwrap() <= 2);
        found.extend(page.contents().iter().map(|object| object.key().unwrap().to_owned()));
        found.extend(page.common_prefixes().iter().map(|prefix| prefix.prefix().unwrap().to_owned()));
        token = page.next_continuation_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    found.sort();
    assert_eq!(found, ["a", "b/", "c", "d/", "e"]);

    let after = client.list_objects_v2().bucket("plain").start_after("b/2").prefix("b/").send().await.unwrap();
    assert_eq!(after.contents().iter().filter_map(|object| object.key()).collect::<Vec<_>>(), ["b/c/3"]);
    let old = client.list_objects().bucket("plain").marker("c").send().await.unwrap();
    assert_eq!(old.contents().iter().filter_map(|object| object.key()).collect::<Vec<_>>(), ["d/1", "e"]);

    let keys = ["a", "c", "absent"].map(|key| ObjectIdentifier::builder().key(key).build().unwrap());
    let delete = Delete::builder().set_objects(Some(keys.to_vec())).build().unwrap();
    let deleted = client.delete_objects().bucket("plain").delete(delete).send().await.unwrap();
    assert_eq!(deleted.deleted().len(), 3);
    client.delete_object().bucket("plain").key("e").send().await.unwrap();
    assert_eq!(server.keys("plain"), ["b/1", "b/2", "b/c/3", "d/1"]);
}

#[tokio::test]
async fn a_page_never_has_more_than_a_thousand_keys() {
    let (server, owner) = server().await;
    for index in 0..1001 {
        server.put("plain", &format!("{index:05}"), NewObject::new(""));
    }
    let page = server.client(&owner).list_objects_v2().bucket("plain").max_keys(5000).send().await.unwrap();
    assert_eq!((page.contents().len(), page.is_truncated()), (1000, Some(true)));
}
