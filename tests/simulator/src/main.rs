//! The simulator as a program: `atelier-simulator --listen 127.0.0.1:8090 --video 2s`.

use std::io::Write as _;
use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use atelier_simulator::{Options, Provider, TlsOptions, parse_duration};
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "\
atelier-simulator: plays the providers on one address

  --listen ADDRESS   where to listen, port 0 = any (127.0.0.1:8090)    ATELIER_SIMULATOR_LISTEN
  --image TIME       how long an image takes (300ms)                   ATELIER_SIMULATOR_IMAGE
  --video TIME       how long a video takes (2s)                       ATELIER_SIMULATOR_VIDEO
  --speech TIME      how long speech takes (100ms)                     ATELIER_SIMULATOR_SPEECH
  --seed NUMBER      seed of the ids (from the clock)                  ATELIER_SIMULATOR_SEED
  --allow-loopback-http-images on|off   (off)                          ATELIER_SIMULATOR_ALLOW_LOOPBACK_HTTP_IMAGES

One of these serves everything over TLS as well, with a certificate made at the start:
  --tls-listen ADDRESS         where to (a free port of 127.0.0.1)     ATELIER_SIMULATOR_TLS_LISTEN
  --tls-certificate PATH       where to write the certificate, as PEM  ATELIER_SIMULATOR_TLS_CERTIFICATE
  --tls-names NAME[,NAME]      its names besides this machine's own    ATELIER_SIMULATOR_TLS_NAMES
  --tls-provider PROVIDER      who answers paths without a prefix      ATELIER_SIMULATOR_TLS_PROVIDER
";
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8090);
const SETTINGS: [&str; 10] = [
    "listen",
    "image",
    "video",
    "speech",
    "seed",
    "allow-loopback-http-images",
    "tls-listen",
    "tls-certificate",
    "tls-names",
    "tls-provider",
];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut output = std::io::stdout();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        return output.write_all(USAGE.as_bytes()).context("failed to print the usage");
    }
    let options = read_options(&arguments)?;
    // Signals are caught before the line that says it is ready: whoever reads it may stop us at once.
    let mut terminate = signal(SignalKind::terminate()).context("failed to catch SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to catch SIGINT")?;
    let simulator = atelier_simulator::start(options).await?;
    let secure = simulator.tls_base_url().map(|url| format!(" and {url}")).unwrap_or_default();
    let (url, seed) = (simulator.base_url(), simulator.seed());
    writeln!(output, "atelier-simulator ready on {url}{secure} (seed {seed})")
        .and_then(|()| output.flush())
        .context("failed to print the address")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    simulator.stop().await;
    Ok(())
}

/// Flags win over the environment, which wins over the defaults. All errors are named at once.
fn read_options(arguments: &[String]) -> anyhow::Result<Options> {
    let mut options = Options { listen: DEFAULT_LISTEN, ..Options::default() };
    let mut errors = Vec::new();
    for name in SETTINGS {
        let variable = format!("ATELIER_SIMULATOR_{}", name.replace('-', "_").to_uppercase());
        if let Ok(value) = std::env::var(&variable)
            && let Err(error) = set(&mut options, name, &value)
        {
            errors.push(format!("{variable}: {error}"));
        }
    }
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let (flag, inline) = match argument.split_once('=') {
            Some((flag, value)) => (flag, Some(value.to_owned())),
            None => (argument.as_str(), None),
        };
        let name = flag.strip_prefix("--").filter(|name| SETTINGS.contains(name));
        let Some(name) = name else {
            errors.push(format!("unknown argument `{argument}`"));
            continue;
        };
        match inline.or_else(|| rest.next().cloned()) {
            Some(value) => {
                errors.extend(set(&mut options, name, &value).err().map(|error| format!("{flag}: {error}")))
            }
            None => errors.push(format!("{flag}: value missing")),
        }
    }
    if errors.is_empty() { Ok(options) } else { bail!("{}\n\n{USAGE}", errors.join("\n")) }
}

fn set(options: &mut Options, name: &str, value: &str) -> Result<(), String> {
    if let Some(name) = name.strip_prefix("tls-") {
        return set_tls(options.tls.get_or_insert_default(), name, value);
    }
    let duration =
        || parse_duration(value).ok_or_else(|| format!("`{value}` is no time, such as 300ms or 2s"));
    match name {
        "listen" => options.listen = value.parse().map_err(|_| format!("`{value}` is no address"))?,
        "image" => options.timing.image = duration()?,
        "video" => options.timing.video = duration()?,
        "speech" => options.timing.speech = duration()?,
        "seed" => options.seed = value.parse().map_err(|_| format!("`{value}` is no number"))?,
        _ => {
            options.allow_loopback_http_images = match value {
                "on" | "true" | "1" => true,
                "off" | "false" | "0" => false,
                _ => return Err(format!("`{value}` is neither on nor off")),
            }
        }
    }
    Ok(())
}

fn set_tls(options: &mut TlsOptions, name: &str, value: &str) -> Result<(), String> {
    match name {
        "listen" => options.listen = value.parse().map_err(|_| format!("`{value}` is no address"))?,
        "certificate" => options.certificate = Some(value.into()),
        "names" => options.names = value.split(',').map(|name| name.trim().to_owned()).collect(),
        _ => {
            let named = Provider::ALL.into_iter().find(|provider| provider.name() == value);
            options.provider = Some(named.ok_or_else(|| format!("`{value}` is no provider"))?);
        }
    }
    Ok(())
}
