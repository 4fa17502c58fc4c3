//! What the api's acceptance is compared with: an axum server whose handler does one script and nothing else. It reads
//! no key, no JSON and no model.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use redis::aio::MultiplexedConnection;

use crate::worker::setting;

const SCRIPT: &str =
    "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('XADD', KEYS[2], '*', 'j', ARGV[2])";

#[derive(Clone)]
struct Bare {
    connection: MultiplexedConnection,
    script: std::sync::Arc<redis::Script>,
}

/// Serves until it is killed; tells its address first.
#[tokio::main]
pub async fn run() -> anyhow::Result<()> {
    let client = redis::Client::open(setting("LOAD_REDIS")?)?;
    let connection = client.get_multiplexed_async_connection().await?;
    let state = Bare { connection, script: std::sync::Arc::new(redis::Script::new(SCRIPT)) };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    axum::serve(listener, Router::new().route("/", post(keep)).with_state(state)).await?;
    Ok(())
}

async fn keep(State(bare): State<Bare>, body: Bytes) -> Result<String, String> {
    let id = format!("{:027x}", rand::random::<u128>() >> 20);
    let mut connection = bare.connection.clone();
    let mut call = bare.script.prepare_invoke();
    call.key(format!("{{b}}:{id}")).key("{b}:ready").arg(body.as_ref()).arg(&id);
    let entry: String = call.invoke_async(&mut connection).await.map_err(|error| error.to_string())?;
    Ok(entry)
}
