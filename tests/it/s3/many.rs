//! A million keys: the plan is a stream, so memory does not know how many there are.
//!
//! The lister below answers with pages made on the spot. The rate is printed; with the release build in
//! `TEST_PROGRAM_DIR` it is the figure of the benchmark.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tests::program::Program;
use tests::s3_server::{Fault, FaultRule};

use super::{Estate, SOURCE, SOURCE_SECRET, TARGET_SECRET, assert_totals, run};

const KEYS: u64 = 1_000_000;
const PAGE: u64 = 1_000;
const MEMORY_BYTES_MAX: u64 = 60_000_000;

/// Lists `keys` keys; everything else it is asked for is not there.
fn lister(keys: u64) -> String {
    slow_lister(keys, Duration::ZERO).0
}

/// The same with this time for a page; also says how many pages it was asked for at the same time at most.
fn slow_lister(keys: u64, delay: Duration) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Ends with the test's process.
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counters = (now, Arc::clone(&most));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let counters = counters.clone();
            std::thread::spawn(move || serve(stream.unwrap(), keys, delay, &counters));
        }
    });
    (format!("http://{address}"), most)
}

fn serve(stream: TcpStream, keys: u64, delay: Duration, (now, most): &(Arc<AtomicUsize>, Arc<AtomicUsize>)) {
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
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(delay);
        now.fetch_sub(1, Ordering::SeqCst);
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

fn key(index: u64) -> String {
    format!("folder/{index:07}/some-name-of-usual-length.csv")
}

/// The first key after `after`.
fn behind(after: &str, keys: u64) -> u64 {
    let (mut from, mut to) = (0, keys);
    while from < to {
        let middle = u64::midpoint(from, to);
        if key(middle).as_str() <= after { from = middle + 1 } else { to = middle }
    }
    from
}

fn page(target: &str, keys: u64) -> String {
    let parameter =
        |name: &str| target.split(['?', '&']).find_map(|part| part.strip_prefix(name)).map(ToOwned::to_owned);
    let after = parameter("start-after=")
        .map(|after| percent_encoding::percent_decode_str(&after).decode_utf8_lossy().into_owned());
    let begin: u64 = parameter("continuation-token=")
        .and_then(|token| token.parse().ok())
        .unwrap_or_else(|| after.map_or(0, |after| behind(&after, keys)));
    let end = keys.min(begin + parameter("max-keys=").and_then(|count| count.parse().ok()).unwrap_or(PAGE));
    let mut page =
        String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult><EncodingType>url</EncodingType>");
    for index in begin..end {
        write!(
            page,
            "<Contents><Key>{}</Key>\
             <LastModified>2023-11-21T04:00:00.000Z</LastModified><ETag>&quot;{index:032x}&quot;</ETag>\
             <Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>",
            key(index),
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

fn counting(source: String, target: String) -> Program {
    Program::migrate_s3()
        .env("PAAS_BUCKET", "s3://source")
        .env("PAAS_ACCESS_KEY_ID", "AKIASOURCE")
        .env("PAAS_SECRET_ACCESS_KEY", SOURCE_SECRET)
        .env("PAAS_ENDPOINT_URL", source)
        .env("NEW_BUCKET", "s3://target")
        .env("NEW_ENDPOINT_URL", target)
        .env("AWS_ACCESS_KEY_ID", "AKIATARGET")
        .env("AWS_SECRET_ACCESS_KEY", TARGET_SECRET)
        .env("LOG_FORMAT", "json")
        .arg("--dry-run")
}

#[tokio::test]
async fn a_slow_store_is_listed_at_several_places() {
    // GIVEN a flat bucket of which each page takes 200 ms: 300 of them one after the other are a minute
    let (source, most) = slow_lister(300_000, Duration::from_millis(200));
    // WHEN its keys are counted
    let outcome = run(&counting(source, lister(100)), 0).await;
    // THEN none is left out or doubled, pages were asked for together, and memory is that of a few pages
    assert_totals(&outcome, [300_000, 0, 100, 0]);
    assert!(most.load(Ordering::SeqCst) >= 5, "{} pages at a time", most.load(Ordering::SeqCst));
    outcome.assert_memory_below(MEMORY_BYTES_MAX);
    println!("{:?} for 300 pages of 200 ms", outcome.elapsed);
}

#[tokio::test]
async fn keys_of_any_shape_are_listed_in_order_at_several_places() {
    // GIVEN a slow store with keys that count and keys that do not, one page of which comes twice
    let estate = Estate::new().await;
    let mut random = fastrand::Rng::with_seed(7);
    for index in 0..2_000_u64 {
        estate.put(&format!("{:032x}", random.u128(..)), "");
        estate.put(&format!("2023/{:02}/{:02}/{index}", index % 12 + 1, index % 28 + 1), "");
        estate.put(&format!("log-{index:05}.gz"), "");
        estate.put(&format!("log-{index}/ü/{}", index * 7), "");
        estate.put(&format!("éé{index}"), "");
    }
    let delay = Fault::Delay(Duration::from_millis(15));
    estate.server.inject(FaultRule::new(Fault::RepeatPage).bucket(SOURCE).on("ListObjectsV2").skip(6).times(2));
    estate.server.inject(FaultRule::new(delay).bucket(SOURCE).on("ListObjectsV2"));
    // WHEN, THEN every one of them is counted once
    let outcome = run(&estate.program().arg("--dry-run"), 0).await;
    assert_totals(&outcome, [10_000, 0, 0, 0]);
    let sequential = 10 + 2;
    let asked = estate.server.count(SOURCE, "ListObjectsV2");
    assert!(asked < 6 * sequential, "{asked} pages for 10,000 keys");
    estate.server.clear_faults();
}

#[tokio::test]
async fn a_million_keys_are_counted_in_little_memory() {
    let program = counting(lister(KEYS), lister(KEYS / 2));
    let outcome = run(&program, 0).await;
    assert_totals(&outcome, [KEYS, 0, KEYS / 2, 0]);
    outcome.assert_memory_below(MEMORY_BYTES_MAX);
    let per_second = KEYS as f64 / outcome.elapsed.as_secs_f64();
    println!("{per_second:.0} keys/s, {} MB resident", outcome.peak_memory_bytes / 1_000_000);
}
