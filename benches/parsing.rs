//! What every request pays before anything is looked up: reading its head, and its Range header if it has one.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use herdgate::http::{head, range};

/// As a browser sends it.
const BROWSER: &[u8] = b"GET /manual/mod/core.html?lang=en HTTP/1.1\r\n\
    Host: www.example.org\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Connection: keep-alive\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef\r\n\
    If-Modified-Since: Sat, 21 Nov 2026 09:24:08 GMT\r\n\
    If-None-Match: \"2d-432a5e4a73a80\"\r\n\r\n";

/// As a load generator sends it.
const BARE: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn heads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("head");
    let limits = head::HeadLimits::default();
    for (name, bytes) in [("bare", BARE), ("browser", BROWSER)] {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let parsed = head::parse(black_box(bytes), &limits);
                assert!(matches!(parsed, head::Parse::Complete { .. }));
            });
        });
    }
    group.finish();
}

fn ranges(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("range");
    let limits = range::RangeLimits::default();
    let many: Vec<String> =
        (0..100).map(|part| format!("{}-{}", part * 20, part * 20 + 9)).collect();
    let many = format!("bytes={}", many.join(","));
    for (name, value) in [("single", "bytes=1000-1999"), ("hundred", many.as_str())] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| range::parse(black_box(value.as_bytes()), 1_000_000, &limits));
        });
    }
    group.finish();
}

criterion_group!(benches, heads, ranges);
criterion_main!(benches);
