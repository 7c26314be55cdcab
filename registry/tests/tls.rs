//! TLS with a registry: whose certificate counts, and what is said where there is none.

use bls_artifact::digest::Sha256;
use bls_registry::form::{ARTIFACT, Annotations, Descriptor, MANIFEST, Manifest, to_bytes};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// What is pulled: whether it is an artifact is not asked.
const BLOB: &[u8] = b"the bytes of an artifact";

/// A registry with TLS: its port, and its authority's certificate.
fn registry() -> (u16, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).unwrap().pem();
    let issuer = rcgen::Issuer::new(params, key);
    let own_key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned()];
    let own = rcgen::CertificateParams::new(names).unwrap().signed_by(&own_key, &issuer).unwrap();
    let chain = vec![CertificateDer::from(own.der().to_vec())];
    let private = PrivatePkcs8KeyDer::from(own_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, private.into())
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let layer = Descriptor::of(ARTIFACT, BLOB);
    let manifest = to_bytes(&Manifest::artifact(ARTIFACT, layer, Annotations::new()));
    let _ = std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let session = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(session, stream);
            let mut lines = BufReader::new(&mut stream).lines().map_while(Result::ok);
            // Whoever does not like the certificate asks for nothing.
            let Some(first) = lines.next() else { continue };
            let _ = lines.by_ref().take_while(|line| !line.is_empty()).count();
            let body = if first.contains("/blobs/") { BLOB } else { &manifest };
            let length = body.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {MANIFEST}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            let _ = stream.write_all(&[head.as_bytes(), body].concat());
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    (port, authority)
}

/// Exit code and what was said.
fn pull(folder: &Path, words: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bls-registry"));
    command.current_dir(folder).env("DOCKER_CONFIG", folder).env_remove("HTTPS_PROXY");
    let output = command.args(["pull", "-o", "got"]).args(words).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_certificate_counts_where_its_authority_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let (port, authority) = registry();
    let (_, other) = registry();
    std::fs::write(folder.path().join("own.pem"), authority).unwrap();
    std::fs::write(folder.path().join("other.pem"), other).unwrap();
    let reference = format!("localhost:{port}/app");
    let (code, said) = pull(folder.path(), &["--authorities", "own.pem", &reference]);
    assert_eq!(code, Some(0), "{said}");
    let got = std::fs::read(folder.path().join("got")).unwrap();
    assert_eq!(Sha256::of(&got), Sha256::of(BLOB));

    let by_address = format!("127.0.0.1:{port}/app");
    for words in
        [["--authorities", "other.pem", &reference], ["--authorities", "own.pem", &by_address]]
    {
        let (code, said) = pull(folder.path(), &words);
        assert_eq!(code, Some(1), "{words:?}: {said}");
        assert!(said.contains("code: registry.tls"), "{words:?}: {said}");
    }
    // Without TLS to where there is TLS.
    let (code, said) = pull(folder.path(), &[&reference]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("\nhint: ") && said.contains("\ncode: registry."), "{said}");
    // With TLS to where there is none.
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let reference = format!("localhost:{}/app", plain.local_addr().unwrap().port());
    let _ = std::thread::spawn(move || {
        for mut stream in plain.incoming().flatten() {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let (code, said) = pull(folder.path(), &["--authorities", "own.pem", &reference]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("code: registry.tls") && said.contains("--plain-http"), "{said}");
}
