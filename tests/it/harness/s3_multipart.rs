//! The embedded S3 server: multipart uploads with all that S3 checks in them.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, ChecksumType, CompletedMultipartUpload, CompletedPart};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tests::s3_server::{NewObject, Stored, StoredUpload};

use super::s3_objects::{failure, server};

const MIB: usize = 1 << 20;

fn crc64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, bytes).to_be_bytes())
}

/// An upload whose parts are checked with CRC-64/NVME, and what to complete it with.
async fn upload(client: &Client, bucket: &str, key: &str, parts: &[&[u8]]) -> (String, CompletedMultipartUpload) {
    let created = client
        .create_multipart_upload()
        .bucket(bucket)
        .key(key)
        .content_type("application/zip")
        .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
        .checksum_type(ChecksumType::FullObject)
        .send()
        .await
        .unwrap();
    let id = created.upload_id().unwrap().to_owned();
    let mut completed = CompletedMultipartUpload::builder();
    for (number, part) in (1..).zip(parts) {
        let request = client.upload_part().bucket(bucket).key(key).upload_id(&id).part_number(number);
        let body = ByteStream::from(part.to_vec());
        let sent = request.body(body).checksum_crc64_nvme(crc64(part)).send().await.unwrap();
        assert_eq!(sent.checksum_crc64_nvme(), Some(crc64(part).as_str()));
        let part = CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag).build();
        completed = completed.parts(part);
    }
    (id, completed.build())
}

#[tokio::test]
async fn parts_become_one_object_with_a_checksum_over_all_of_it() {
    let (server, owner) = server().await;
    let client = server.client(&owner);
    let whole: Vec<u8> = (0..11 * MIB).map(|index| u8::try_from(index % 251).unwrap()).collect();
    let parts: Vec<_> = whole.chunks(5 * MIB).collect();
    let (id, completed) = upload(&client, "plain", "big", &parts).await;

    let listed = client.list_parts().bucket("plain").key("big").upload_id(&id).max_parts(2).send().await.unwrap();
    assert_eq!((listed.parts().len(), listed.is_truncated()), (2, Some(true)));
    assert_eq!(server.uploads("plain"), [StoredUpload { key: "big".to_owned(), id: id.clone(), parts: vec![1, 2, 3] }]);
    let pending = client.list_multipart_uploads().bucket("plain").send().await.unwrap();
    assert_eq!(pending.uploads()[0].upload_id(), Some(id.as_str()));

    let complete = || {
        let request = client.complete_multipart_upload().bucket("plain").key("big").upload_id(&id);
        request.multipart_upload(completed.clone()).checksum_type(ChecksumType::FullObject)
    };
    assert_eq!(failure(complete().mpu_object_size(1).send().await).0, "InvalidRequest");
    assert_eq!(failure(complete().checksum_crc64_nvme(crc64(b"other")).send().await).0, "BadDigest");
    let size = i64::try_from(whole.len()).unwrap();
    let done = complete().checksum_crc64_nvme(crc64(&whole)).mpu_object_size(size).send().await.unwrap();

    assert_eq!(done.checksum_crc64_nvme(), Some(crc64(&whole).as_str()));
    assert!(done.e_tag().unwrap().ends_with("-3\""));
    assert!(server.uploads("plain").is_empty());
    let object = server.get("plain", "big").unwrap();
    assert_eq!(object.body, whole);
    assert_eq!(object.headers["content-type"], "application/zip");
    let head = client.head_object().bucket("plain").key("big").part_number(1).send().await.unwrap();
    assert_eq!((head.parts_count(), head.content_length()), (Some(3), Some(5 << 20)));
    let range = client.get_object().bucket("plain").key("big").range("bytes=5242870-5242889").send().await.unwrap();
    assert_eq!(range.body.collect().await.unwrap().into_bytes(), whole[5_242_870..5_242_890]);
    let got = client.get_object().bucket("plain").key("big").checksum_mode(ChecksumMode::Enabled).send().await.unwrap();
    assert_eq!(got.body.collect().await.unwrap().into_bytes(), whole);
}

#[tokio::test]
async fn a_composite_is_the_checksum_of_the_parts_checksums() {
    let (server, owner) = server().await;
    let client = server.client(&owner);
    let sha256 = ChecksumAlgorithm::Sha256;
    let created = client.create_multipart_upload().bucket("plain").key("o").checksum_algorithm(sha256);
    let id = created.send().await.unwrap().upload_id.unwrap();
    let part = || client.upload_part().bucket("plain").key("o").upload_id(&id).part_number(1);
    let value = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";

    let wrong = part().body(ByteStream::from_static(b"abc")).checksum_crc64_nvme(crc64(b"abc")).send().await;
    assert_eq!(failure(wrong).0, "InvalidRequest");
    let sent = part().body(ByteStream::from_static(b"abc")).checksum_sha256(value).send().await.unwrap();
    let complete = |checksum: Option<&str>| {
        let part = CompletedPart::builder().part_number(1).set_e_tag(sent.e_tag.clone());
        let part = part.set_checksum_sha256(checksum.map(str::to_owned)).build();
        let parts = CompletedMultipartUpload::builder().parts(part).build();
        client.complete_multipart_upload().bucket("plain").key("o").upload_id(&id).multipart_upload(parts).send()
    };
    assert_eq!(failure(complete(None).await).0, "InvalidRequest");
    let done = complete(Some(value)).await.unwrap();
    assert_eq!(done.checksum_sha256(), Some("T4tCwi3TcptRm6b2jS2nzFstYG0F2u1a1RKMwD5sY1g=-1"));
}

#[tokio::test]
async fn an_upload_that_breaks_a_rule_is_refused() {
    let (server, owner) = server().await;
    let client = server.client(&owner);
    let (id, completed) = upload(&client, "plain", "small", &[b"too small", b"last"]).await;
    let complete = |parts: CompletedMultipartUpload, key: &'static str| {
        client.complete_multipart_upload().bucket("plain").key(key).upload_id(&id).multipart_upload(parts).send()
    };

    assert_eq!(failure(complete(completed.clone(), "small").await).0, "EntityTooSmall");
    assert_eq!(failure(complete(completed.clone(), "another").await), ("NoSuchUpload".to_owned(), 404));
    let mut reversed = completed.parts().to_vec();
    reversed.reverse();
    let reversed = CompletedMultipartUpload::builder().set_parts(Some(reversed)).build();
    assert_eq!(failure(complete(reversed, "small").await).0, "InvalidPartOrder");
    let foreign = CompletedPart::builder().part_number(1).e_tag("\"00000000000000000000000000000000\"").build();
    let foreign = CompletedMultipartUpload::builder().parts(foreign).build();
    assert_eq!(failure(complete(foreign, "small").await).0, "InvalidPart");

    server.put("plain", "small", NewObject::new("there already"));
    let last = CompletedMultipartUpload::builder().parts(completed.parts()[1].clone()).build();
    let request = client.complete_multipart_upload().bucket("plain").key("small").upload_id(&id);
    let refused = request.multipart_upload(last).if_none_match("*").send().await;
    assert_eq!(failure(refused), ("PreconditionFailed".to_owned(), 412));

    client.abort_multipart_upload().bucket("plain").key("small").upload_id(&id).send().await.unwrap();
    assert!(server.uploads("plain").is_empty());
    assert_eq!(failure(complete(completed, "small").await).0, "NoSuchUpload");
}

#[tokio::test]
async fn a_large_body_passes_through_in_steps() {
    let (server, owner) = server().await;
    let length = 64 * 1024 * 1024;
    server.put("plain", "large", NewObject::generated(length, 7));

    let got = server.client(&owner).get_object().bucket("plain").key("large").send().await.unwrap();
    let bytes = got.body.collect().await.unwrap().into_bytes();

    assert_eq!(bytes.len() as u64, length);
    let Some(Stored { value, .. }) = server.get("plain", "large").unwrap().checksum else { panic!("no checksum") };
    assert_eq!(value, crc64(&bytes));
}
