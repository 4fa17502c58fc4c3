//! TLS with certificates of both sides, and a user who may do just what is needed. The rules are those that operators
//! are given.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use atelier_domain::secret::Secret;
use atelier_redis_store::{ControlQueue, Redis, RedisStoreSettings, RedisTls, preflight};
use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio_util::sync::CancellationToken;

use crate::harness::{Fixture, settings, wait_for};
use crate::redis_server::{RedisServer, find_full_program, free_port};
use crate::topologies::{all_promises_hold, expired_ids_leave_every_index};

const RULES: &str = include_str!("../../../deploy/redis/atelier.acl");
const PASSWORD: &str = "a-long-password";
const ADMIN: &str = "another-password";

/// A server that takes only TLS and known certificates on one port, and only known users on both. The other port is
/// for looking on.
struct SecureServer {
    server: RedisServer,
    tls_port: u16,
}

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut parameters = CertificateParams::default();
        // Who signs must have another name than who is signed for, or that one seems to sign for itself.
        parameters.distinguished_name.push(DnType::CommonName, "an authority");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        Self { issuer }
    }

    fn pem(&self) -> String {
        AsRef::<Certificate>::as_ref(&self.issuer).pem()
    }

    /// A certificate for this machine, and its key.
    fn issue(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        (parameters.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

fn written(folder: &Path, name: &str, content: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path
}

fn start(shards: u16, retention_s: u64) -> Fixture<SecureServer> {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let (certificate, key) = authority.issue();
    let file = |name: &str, content: &str| written(folder.path(), name, content).to_str().unwrap().to_owned();
    let rules = RULES.replace("PASSWORD", PASSWORD);
    let acl = format!("{rules}user default off\nuser admin on >{ADMIN} ~* &* +@all\n");
    let tls_port = free_port().unwrap();
    let tls_port_text = tls_port.to_string();
    let more = [
        ("--tls-port", tls_port_text),
        ("--tls-cert-file", file("server.pem", &certificate)),
        ("--tls-key-file", file("server.key", &key)),
        ("--tls-ca-cert-file", file("ca.pem", &authority.pem())),
        ("--tls-auth-clients", "yes".to_owned()),
        ("--aclfile", file("users.acl", &acl)),
        ("--appendonly", "yes".to_owned()),
        ("--appendfsync", "always".to_owned()),
    ];
    let more: Vec<&str> = more.iter().flat_map(|(name, value)| [*name, value.as_str()]).collect();
    let server =
        RedisServer::start_with(find_full_program().unwrap(), &folder.path().join("data"), &more).unwrap();
    let (cert, key) = authority.issue();
    let settings = RedisStoreSettings {
        shards,
        retention_s,
        tls: RedisTls { ca: Some(authority.pem()), cert: Some(cert), key: Some(Secret::new(key)) },
        ..settings(format!("rediss://atelier:{PASSWORD}@127.0.0.1:{tls_port}/0"))
    };
    assert_eq!(settings.problems(), []);
    Fixture::assemble(SecureServer { server, tls_port }, folder, settings)
}

fn admin(server: &SecureServer) -> redis::Connection {
    let url = format!("redis://admin:{ADMIN}@127.0.0.1:{}/0", server.server.port());
    redis::Client::open(url).unwrap().get_connection().unwrap()
}

/// The commands that the rules allow, as the server's statistics name them.
fn allowed() -> BTreeSet<String> {
    RULES.split_whitespace().filter_map(|word| word.strip_prefix('+')).map(str::to_owned).collect()
}

/// Commands for clusters and sentinels, for another database, and for replicas that confirm.
const ELSEWHERE: &[&str] = &["cluster|keyslot", "cluster|slots", "role", "select", "wait"];

#[tokio::test]
async fn the_rules_allow_what_is_needed_and_nothing_else() {
    let mut used = BTreeSet::new();
    let mut promises = start(2, 3600);
    all_promises_hold(&mut promises).await;
    used.extend(look_back(&promises.server));
    let housekeeping = start(2, 1);
    expired_ids_leave_every_index(&housekeeping).await;
    one_of_two_leads(&housekeeping).await;
    used.extend(look_back(&housekeeping.server));
    let unused: Vec<_> = allowed().into_iter().filter(|name| !used.contains(name)).collect();
    assert_eq!(unused, ELSEWHERE, "each other command was needed");
}

/// A leader and a follower.
async fn one_of_two_leads(fixture: &Fixture<SecureServer>) {
    let stop = CancellationToken::new();
    let queue = ControlQueue::new(fixture.redis.clone());
    let pollers =
        [tokio::spawn(queue.clone().schedule(stop.clone())), tokio::spawn(queue.schedule(stop.clone()))];
    wait_for("both to ask", || async { look_back(&fixture.server).contains("pttl") }).await;
    stop.cancel();
    for poller in pollers {
        poller.await.unwrap();
    }
}

/// The commands that were used; fails if one was refused.
fn look_back(server: &SecureServer) -> BTreeSet<String> {
    let mut raw = admin(server);
    let refused: Vec<redis::Value> = redis::cmd("ACL").arg("LOG").query(&mut raw).unwrap();
    assert!(refused.is_empty(), "{refused:?}");
    let statistics: String = redis::cmd("INFO").arg("commandstats").query(&mut raw).unwrap();
    let names = statistics.lines().filter_map(|line| line.strip_prefix("cmdstat_")?.split(':').next());
    names.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_server_is_trusted_only_by_its_certificate_and_trusts_only_ours() {
    let fixture = start(1, 3600);
    let check = async |settings: RedisStoreSettings| preflight::check(&Redis::open(settings).unwrap()).await;
    check(fixture.settings.clone()).await.unwrap();
    let ours = &fixture.settings;
    let foreign = Authority::new();
    let foreign_ca = RedisTls { ca: Some(foreign.pem()), ..ours.tls.clone() };
    assert!(check(RedisStoreSettings { tls: foreign_ca, ..ours.clone() }).await.is_err());
    let (cert, key) = foreign.issue();
    let foreign_cert = RedisTls { cert: Some(cert), key: Some(Secret::new(key)), ..ours.tls.clone() };
    assert!(check(RedisStoreSettings { tls: foreign_cert, ..ours.clone() }).await.is_err());
    let none = RedisTls { cert: None, key: None, ..ours.tls.clone() };
    assert!(check(RedisStoreSettings { tls: none, ..ours.clone() }).await.is_err());
    let anonymous = Secret::new(format!("rediss://127.0.0.1:{}/0", fixture.server.tls_port));
    let refused = check(RedisStoreSettings { url: anonymous, ..ours.clone() }).await;
    assert!(refused.is_err_and(|error| format!("{error:?}").contains("NOAUTH")));
}
