//! New keys in the middle of a stream: where other stacks stop or hang, a channel goes on, whole and at full speed.
//!
//! Reduced here, with a proxy that wants new keys every 8 MB; `make test-long` (`TEST_LONG=1`) carries more than 2 GB through
//! one channel and 1 GB through each of ten, with the limits that are in force in the field.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::LazyLock;
use std::time::Instant;

use platform::settings::{Login, WaySettings};
use platform::tunnel::Tunnel;
use platform::{Intent, Platform, Purpose, Settings};
use serde_json::json;
use tests::cloud_foundry::{CloudFoundry, Config, Instance, ORGANISATION, PASSWORD, SPACE, USER};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Slower than this, something waits for seconds at each new key: the slowest machine that was tried, idle, is 25 times as
/// fast, and a busy one has a fifth of that.
const MEGABYTES_PER_SECOND_MIN: f64 = 2.0;
const SOURCE: &str = "bytes.internal";

/// What comes through, again and again: bytes without a pattern. Its length is prime, so that a piece that is lost, doubled or
/// swapped shows.
fn pattern() -> &'static [u8] {
    const LENGTH: usize = 1_048_573;
    static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let mut random = fastrand::Rng::with_seed(2023);
        // Twice, so that a chunk never ends within.
        let once: Vec<u8> = (0..LENGTH).map(|_| random.u8(..)).collect();
        once.repeat(2)
    });
    &PATTERN
}

/// The `length` bytes from `position` on; at most half a megabyte.
fn bytes_at(position: u64, length: usize) -> &'static [u8] {
    let pattern = pattern();
    let begin = usize::try_from(position % (pattern.len() as u64 / 2)).unwrap();
    &pattern[begin..begin + length]
}

/// Sends as many bytes as the first eight of each connection ask for.
async fn source_of_bytes() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let total = stream.read_u64().await.unwrap();
                let mut position = 0;
                while position < total {
                    let length = (total - position).min(64 << 10);
                    stream.write_all(bytes_at(position, usize::try_from(length).unwrap())).await.unwrap();
                    position += length;
                }
            });
        }
    });
    address
}

/// Asks for `total` bytes and looks at each.
async fn read(tunnel: &Tunnel, total: u64) {
    let mut stream = tunnel.connect(SOURCE, 1).await.unwrap();
    stream.write_u64(total).await.unwrap();
    let mut position = 0;
    let mut chunk = vec![0; 64 << 10];
    while position < total {
        let count = stream.read(&mut chunk).await.unwrap();
        assert!(count > 0, "the channel ended at byte {position} of {total}");
        assert!(
            &chunk[..count] == bytes_at(position, count),
            "another byte than was sent, after {position} of {total}"
        );
        position += count as u64;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn channels_carry_any_amount_while_new_keys_are_agreed_on() {
    // GIVEN an application that reaches a source of bytes, and a proxy that wants new keys often
    let is_long = std::env::var_os("TEST_LONG").is_some();
    let (one, each, rekey_bytes) =
        if is_long { (2_500 << 20, 1 << 30, None) } else { (96 << 20, 16 << 20, Some(8 << 20)) };
    let mut config = Config {
        instances: vec![Instance::user_provided("bytes", &json!({ "host": SOURCE }))],
        rekey_bytes,
        ..Config::default()
    };
    config.reachable.insert(format!("{SOURCE}:1"), source_of_bytes().await);
    let foundation = CloudFoundry::start(config);
    foundation.add_app("core", None);
    let settings = Settings {
        api: format!("https://{}", foundation.api()),
        organisation: ORGANISATION.into(),
        space: SPACE.into(),
        service: "bytes".into(),
        login: Login::Password { user: USER.into(), password: PASSWORD.to_owned().into() },
        ca_cert: Some(foundation.ca_cert()),
    };
    for (sessions_max, channels, bytes) in [(1, 1, one), (1, 10, each), (8, 10, each)] {
        let way = WaySettings { via_app: Some("core".into()), sessions_max, read_only: false };
        let purpose = Purpose { program: "test", errand: "bytes".into() };
        let platform = Platform::connect(&settings, &purpose, Intent::Database(&way)).await.unwrap();
        let tunnel = platform.open_way(&way).await.unwrap().tunnel;

        // WHEN so many channels of so many sessions carry so much, all at once
        let begun = Instant::now();
        futures::future::join_all((0..channels).map(|_| read(&tunnel, bytes))).await;

        // THEN every byte arrives, and at speed
        let rate = (channels * bytes) as f64 / 1e6 / begun.elapsed().as_secs_f64();
        println!("{channels} channels of {sessions_max} sessions, {} MB each: {rate:.0} MB/s", bytes >> 20);
        assert!(rate > MEGABYTES_PER_SECOND_MIN, "{rate:.1} MB/s through {channels} channels");
        tunnel.close().await;
    }
}
