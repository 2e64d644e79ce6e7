//! A million keys: the plan is a stream, so memory does not know how many there are.
//!
//! The lister below answers with pages made on the spot. The rate is printed; with the release build in
//! `TEST_PROGRAM_DIR` it is the figure of the benchmark.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};

use tests::program::Program;

use super::{SOURCE_SECRET, TARGET_SECRET, assert_totals, run};

const KEYS: u64 = 1_000_000;
const PAGE: u64 = 1_000;
const MEMORY_BYTES_MAX: u64 = 60_000_000;

/// Lists `keys` keys; everything else it is asked for is not there.
fn lister(keys: u64) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || serve(stream.unwrap(), keys));
        }
    });
    format!("http://{address}")
}

fn serve(stream: TcpStream, keys: u64) {
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
        while line.trim_end() != "" {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
        }
        let (status, body) = if target.contains("list-type=2") {
            ("200 OK", page(&target, keys))
        } else {
            ("404 Not Found", "<Error><Code>NoSuchKey</Code><Message>not here</Message></Error>".to_owned())
        };
        let head =
            format!("HTTP/1.1 {status}\r\ncontent-type: application/xml\r\ncontent-length: {}\r\n\r\n", body.len());
        if writer.write_all(head.as_bytes()).and_then(|()| writer.write_all(body.as_bytes())).is_err() {
            return;
        }
    }
}

fn page(target: &str, keys: u64) -> String {
    let parameter =
        |name: &str| target.split(['?', '&']).find_map(|part| part.strip_prefix(name)).map(ToOwned::to_owned);
    let begin: u64 = parameter("continuation-token=").and_then(|token| token.parse().ok()).unwrap_or(0);
    let end = keys.min(begin + parameter("max-keys=").and_then(|count| count.parse().ok()).unwrap_or(PAGE));
    let mut page =
        String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult><EncodingType>url</EncodingType>");
    for index in begin..end {
        write!(
            page,
            "<Contents><Key>folder/{index:07}/some-name-of-usual-length.csv</Key>\
             <LastModified>2023-11-21T04:00:00.000Z</LastModified><ETag>&quot;{index:032x}&quot;</ETag>\
             <Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>",
            index % 100_000
        )
        .unwrap();
    }
    let is_truncated = end < keys;
    write!(page, "<IsTruncated>{is_truncated}</IsTruncated>").unwrap();
    if is_truncated {
        write!(page, "<NextContinuationToken>{end}</NextContinuationToken>").unwrap();
    }
    page + "</ListBucketResult>"
}

#[tokio::test]
async fn a_million_keys_are_counted_in_little_memory() {
    let program = Program::migrate_s3()
        .env("PAAS_BUCKET", "s3://source")
        .env("PAAS_ACCESS_KEY_ID", "AKIASOURCE")
        .env("PAAS_SECRET_ACCESS_KEY", SOURCE_SECRET)
        .env("PAAS_ENDPOINT_URL", lister(KEYS))
        .env("NEW_BUCKET", "s3://target")
        .env("NEW_ENDPOINT_URL", lister(KEYS / 2))
        .env("AWS_ACCESS_KEY_ID", "AKIATARGET")
        .env("AWS_SECRET_ACCESS_KEY", TARGET_SECRET)
        .env("LOG_FORMAT", "json")
        .arg("--dry-run");
    let outcome = run(&program, 0).await;
    assert_totals(&outcome, [KEYS, 0, KEYS / 2, 0]);
    outcome.assert_memory_below(MEMORY_BYTES_MAX);
    let per_second = KEYS as f64 / outcome.elapsed.as_secs_f64();
    println!("{per_second:.0} keys/s, {} MB resident", outcome.peak_memory_bytes / 1_000_000);
}
