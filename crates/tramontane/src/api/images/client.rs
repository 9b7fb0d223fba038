//! Getting a file over http or https from a public address, and from nowhere else.
//!
//! The host's addresses are looked up once for each connection, judged, and connected to as they were judged, also after
//! a redirect: so no name can lead inside, whatever it resolves to the next time. Proxies of the environment are not used,
//! because they would do the looking up. Must not know: what the file is for.

use super::public::is_public;
use std::sync::Arc;
use std::time::Duration;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Error};

/// The largest file, in bytes.
const MAX_BYTES: u64 = 20 << 20;
const MAX_REDIRECTS: u32 = 3;

/// The bytes at `url`.
///
/// # Errors
/// Why not, in words for the client: nothing in them tells where a name leads.
pub fn get(url: &str, limit: Duration) -> Result<Vec<u8>, String> {
    get_by(Public(DefaultResolver::default()), url, limit)
}

fn get_by(resolver: impl Resolver, url: &str, limit: Duration) -> Result<Vec<u8>, String> {
    let uri: Uri = url
        .parse()
        .map_err(|_| "no address that can be read".to_owned())?;
    let scheme = uri.scheme_str().unwrap_or_default().to_ascii_lowercase();
    if scheme != "http" && scheme != "https" {
        return Err("expected an http or https address, or a data URL".to_owned());
    }
    if uri
        .authority()
        .is_none_or(|authority| authority.as_str().contains('@'))
    {
        return Err("expected an address with a host, and without a user's name".to_owned());
    }
    if limit.is_zero() {
        return Err("the images take too long to fetch".to_owned());
    }
    let response = agent(resolver, limit)?.get(uri).call();
    let mut response = response.map_err(|error| told(&error))?;
    if !response.status().is_success() {
        return Err(format!("its server answers {}", response.status().as_u16()));
    }
    let body = response.body_mut().with_config().limit(MAX_BYTES);
    body.read_to_vec().map_err(|error| told(&error))
}

fn agent(resolver: impl Resolver, limit: Duration) -> Result<Agent, String> {
    let config = Agent::config_builder()
        .timeout_global(Some(limit))
        .http_status_as_error(false)
        .max_redirects(MAX_REDIRECTS)
        .max_idle_connections(0)
        .proxy(None)
        .user_agent(concat!("tramontane/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls()?)
        .build();
    Ok(Agent::with_parts(config, DefaultConnector::new(), resolver))
}

/// TLS whose arithmetic is graviola's, which needs no C compiler to build but these instructions to run.
fn tls() -> Result<TlsConfig, String> {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        if !(has!("adx") && has!("aes") && has!("avx2") && has!("bmi1") && has!("pclmulqdq")) {
            return Err("this machine is too old to fetch images".to_owned());
        }
    }
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::WebPki)
        .unversioned_rustls_crypto_provider(Arc::new(rustls_graviola::default_provider()))
        .build())
}

/// Looks names up, and keeps none but public addresses.
#[derive(Debug)]
struct Public(DefaultResolver);

impl Resolver for Public {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let found = self.0.resolve(uri, config, timeout)?;
        let mut kept = self.empty();
        found
            .iter()
            .filter(|address| is_public(address.ip()))
            .for_each(|address| kept.push(*address));
        match kept.is_empty() {
            true => Err(Error::HostNotFound),
            false => Ok(kept),
        }
    }
}

/// An error in words that tell nothing of the network the server is in.
fn told(error: &Error) -> String {
    match error {
        Error::HostNotFound => "its host has no public address".to_owned(),
        Error::Timeout(_) => "it takes too long to fetch".to_owned(),
        Error::TooManyRedirects => format!("more than {MAX_REDIRECTS} redirects"),
        Error::BodyExceedsLimit(_) => format!("it is larger than {} MiB", MAX_BYTES >> 20),
        _ => "it cannot be fetched".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener};

    #[test]
    fn nothing_inside_can_be_reached() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        listener.set_nonblocking(true).unwrap();
        for host in [
            "127.0.0.1",
            "localhost",
            "[::1]",
            "0.0.0.0",
            "[::ffff:127.0.0.1]",
            "2130706433",
            "0x7f.1",
            "127.1",
        ] {
            let error = get(
                &format!("http://{host}:{port}/a.png"),
                Duration::from_secs(5),
            )
            .unwrap_err();
            assert!(!error.contains("127"), "{error}");
        }
        assert!(listener.accept().is_err(), "somebody connected");
        for url in [
            "ftp://example.org/",
            "file:///etc/passwd",
            "http://",
            "gopher://a",
            "",
            "http://me@example.org/",
        ] {
            get(url, Duration::from_secs(5)).unwrap_err();
        }
    }

    /// Calls one address of this machine public, by the name `first.example`, and nothing else.
    #[derive(Debug)]
    struct OnlyFirst(SocketAddr);

    impl Resolver for OnlyFirst {
        fn resolve(
            &self,
            uri: &Uri,
            config: &Config,
            timeout: NextTimeout,
        ) -> Result<ResolvedSocketAddrs, Error> {
            if uri.host() != Some("first.example") {
                return Public(DefaultResolver::default()).resolve(uri, config, timeout);
            }
            let mut own = self.empty();
            own.push(self.0);
            Ok(own)
        }
    }

    /// What comes of a server that answers once with `answer`, and whether anybody came a second time.
    fn answered(answer: impl FnOnce(SocketAddr) -> Vec<u8>) -> (Result<Vec<u8>, String>, bool) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answer = answer(address);
        let served = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            // A client that has seen enough hangs up.
            let _ = stream.write_all(&answer);
            drop(stream);
            listener.set_nonblocking(true).unwrap();
            std::thread::sleep(Duration::from_millis(300));
            listener.accept().is_ok()
        });
        let got = get_by(
            OnlyFirst(address),
            "http://first.example/a.png",
            Duration::from_secs(10),
        );
        (got, served.join().unwrap())
    }

    #[test]
    fn a_file_comes_whole_or_not_at_all() {
        let (got, _) = answered(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc".to_vec());
        assert_eq!(got.unwrap(), b"abc");
        let (got, _) =
            answered(|_| b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec());
        assert!(got.unwrap_err().contains("404"));
        let large = [
            b"HTTP/1.1 200 OK\r\n\r\n".to_vec(),
            vec![b'a'; MAX_BYTES as usize + 10],
        ]
        .concat();
        let (got, _) = answered(|_| large);
        assert!(got.unwrap_err().contains("larger than 20 MiB"));
    }

    #[test]
    fn redirects_are_judged_again() {
        let (got, came_again) = answered(|address| {
            format!("HTTP/1.1 302 Found\r\nLocation: http://{address}/inside\r\nContent-Length: 0\r\n\r\n").into_bytes()
        });
        assert!(got.unwrap_err().contains("no public address"));
        assert!(!came_again, "the redirect was followed inside");
    }
}
