//! The fault proxy: forwards, and breaks connections in each of its ways.

use std::net::Ipv4Addr;
use std::time::Duration;

use tests::fault_proxy::FaultProxy;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A server that sends back what it gets, and the proxy before it.
async fn echo() -> FaultProxy {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reader, mut writer) = stream.split();
                tokio::io::copy(&mut reader, &mut writer).await
            });
        }
    });
    FaultProxy::start(address).unwrap()
}

async fn connect(proxy: &FaultProxy) -> TcpStream {
    TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await.unwrap()
}

async fn echoed(stream: &mut TcpStream, text: &str) -> std::io::Result<String> {
    stream.write_all(text.as_bytes()).await?;
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer).await?;
    Ok(String::from_utf8(answer).unwrap())
}

#[tokio::test]
async fn it_forwards_until_it_is_told_to_cut() {
    let proxy = echo().await;
    let mut first = connect(&proxy).await;
    let mut second = connect(&proxy).await;
    assert_eq!(echoed(&mut first, "hello").await.unwrap(), "hello");
    assert_eq!(echoed(&mut second, "there").await.unwrap(), "there");
    assert_eq!((proxy.connection_count(), proxy.forwarded_bytes()), (2, 10));

    proxy.cut();
    assert!(echoed(&mut first, "x").await.is_err());
    assert!(echoed(&mut second, "x").await.is_err());
    assert_eq!(echoed(&mut connect(&proxy).await, "again").await.unwrap(), "again");
}

#[tokio::test]
async fn it_cuts_after_the_bytes_it_was_told() {
    let proxy = echo().await;
    let mut stream = connect(&proxy).await;
    proxy.cut_after(3);
    stream.write_all(b"hello").await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert_eq!(answer, b"hel");
    assert_eq!(echoed(&mut connect(&proxy).await, "once only").await.unwrap(), "once only");
}

#[tokio::test]
async fn it_stalls_and_refuses() {
    let proxy = echo().await;
    let mut stream = connect(&proxy).await;
    proxy.stall();
    assert!(tokio::time::timeout(Duration::from_millis(100), echoed(&mut stream, "x")).await.is_err());
    proxy.forward();
    let mut late = [0];
    stream.read_exact(&mut late).await.unwrap();
    assert_eq!(&late, b"x");

    proxy.stall_after(proxy.forwarded_bytes() + 5);
    assert_eq!(echoed(&mut stream, "hello").await.unwrap(), "hello");
    assert!(tokio::time::timeout(Duration::from_millis(100), echoed(&mut stream, "y")).await.is_err());
    proxy.forward();
    stream.read_exact(&mut late).await.unwrap();
    assert_eq!(&late, b"y");

    proxy.refuse();
    assert!(echoed(&mut connect(&proxy).await, "x").await.is_err());
    assert_eq!(echoed(&mut stream, "still").await.unwrap(), "still");
}
