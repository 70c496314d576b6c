//! The HTTP server. It accepts connections itself, so that faults can close them for real.

use std::future::pending;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{RawPathParams, Request};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use flate2::read::GzDecoder;
use futures::{StreamExt, stream};
use http_body_util::BodyExt;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::dispatch::{self, Reply};
use crate::errors::ApiError;
use crate::routes::{Answer, ROUTES, Route};
use crate::shared::Shared;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-pulumi-request-id");

/// How long the first half of a truncated body gets to leave before the connection is closed.
const FLUSH_TIME: Duration = Duration::from_millis(30);

/// Bodies that are longer go out in pieces, without their length being told before.
const LONGEST_WHOLE_BODY: usize = 1024 * 1024;
const PIECE: usize = 64 * 1024;

/// What the handle tells the server.
pub(crate) enum Command {
    /// Close the listener and all connections.
    StopListening(oneshot::Sender<()>),
    /// Listen on the same address again.
    Listen(oneshot::Sender<io::Result<()>>),
}

/// Serves until the sender of the commands is dropped.
pub(crate) async fn run(
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
    mut commands: mpsc::UnboundedReceiver<Command>,
) {
    let router = router(&shared);
    let close_all = watch::Sender::new(());
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            command = commands.recv() => match command {
                None => return,
                Some(Command::StopListening(done)) => {
                    listener = None;
                    close_all.send_replace(());
                    // Nothing arrives any more when this is answered, not even over a connection that was open.
                    while connections.join_next().await.is_some() {}
                    // Nobody waits for it any more: fine.
                    let _ = done.send(());
                }
                Some(Command::Listen(done)) => {
                    let result = match listener {
                        Some(_) => Ok(()),
                        None => TcpListener::bind(address).await.map(|bound| listener = Some(bound)),
                    };
                    let _ = done.send(result);
                }
            },
            Some(_) = connections.join_next() => {}
            accepted = accept(listener.as_ref()) => match accepted {
                Ok(stream) => {
                    connections.spawn(serve_connection(stream, router.clone(), close_all.subscribe()));
                }
                // Out of file descriptors, mostly: others may be closed soon.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => pending().await,
    }
}

/// Closes the connection that a request came over.
#[derive(Clone, Default)]
struct Kill(Arc<Notify>);

impl Kill {
    /// Never returns: the connection takes this task down with it.
    async fn connection(&self) -> Response {
        self.0.notify_one();
        pending().await
    }
}

async fn serve_connection(stream: TcpStream, router: Router, mut close: watch::Receiver<()>) {
    // Small answers must not wait for each other.
    let _ = stream.set_nodelay(true);
    let kill = Kill::default();
    let service = TowerToHyperService::new(router.layer(axum::Extension(kill.clone())));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // An error here is the client's closing of the connection, or a fault's.
        _ = connection => {}
        () = kill.0.notified() => {}
        _ = close.changed() => {}
    }
}

fn router(shared: &Arc<Shared>) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let Ok(filter) = MethodFilter::try_from(route.method.clone()) else {
            continue;
        };
        let shared = Arc::clone(shared);
        let handler = move |parameters: RawPathParams, request: Request| {
            let parameters = parameters.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
            respond(Arc::clone(&shared), Some(route), parameters.collect(), request)
        };
        router = router.route(route.path, on(filter, handler.clone()));
        // The documents write some paths with a slash at the end.
        router = router.route(&format!("{}/", route.path), on(filter, handler));
    }
    let unknown = {
        let shared = Arc::clone(shared);
        move |request: Request| respond(Arc::clone(&shared), None, Vec::new(), request)
    };
    let wrong_method = {
        let shared = Arc::clone(shared);
        move |request: Request| async move {
            let mut response = respond(Arc::clone(&shared), None, Vec::new(), request).await;
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            *response.body_mut() = Body::empty();
            response
        }
    };
    router.fallback(unknown).method_not_allowed_fallback(wrong_method)
}

/// Answers one request.
async fn respond(
    shared: Arc<Shared>,
    route: Option<&'static Route>,
    parameters: Vec<(String, String)>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let kill = parts.extensions.get::<Kill>().cloned().unwrap_or_default();
    let Ok(body) = body.collect().await else {
        return kill.connection().await;
    };
    let Some(body) = decoded(&parts.headers, body.to_bytes()) else {
        return response(ApiError::bad_request("invalid gzip body").into(), None);
    };
    // A task of its own: what the service has received it does, whether or not the client waits for the answer.
    let task = tokio::spawn(dispatch::dispatch(shared, route, parameters, parts, body));
    match task.await {
        Ok(Reply::Answer(answer)) => response(answer, None),
        Ok(Reply::Truncated(answer)) => {
            let half = answer.body.slice(..answer.body.len() / 2);
            response(answer, Some(half))
        }
        Ok(Reply::Nothing) => kill.connection().await,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The body as it was before the client compressed it.
fn decoded(headers: &HeaderMap, body: Bytes) -> Option<Bytes> {
    if headers.get(CONTENT_ENCODING).is_none_or(|encoding| encoding != "gzip") {
        return Some(body);
    }
    let mut plain = Vec::new();
    GzDecoder::new(&body[..]).read_to_end(&mut plain).ok()?;
    Some(plain.into())
}

fn response(answer: Answer, truncated: Option<Bytes>) -> Response {
    let length = answer.body.len();
    let in_pieces = truncated.is_none() && length > LONGEST_WHOLE_BODY;
    let body = match truncated {
        Some(half) => cut_off(half),
        None if in_pieces => pieces(answer.body),
        None => Body::from(answer.body),
    };
    let mut response = Response::new(body);
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    for (name, value) in answer.headers {
        headers.insert(name, value);
    }
    if let Ok(id) = HeaderValue::try_from(Uuid::new_v4().to_string()) {
        headers.insert(REQUEST_ID, id);
    }
    if answer.status != StatusCode::NO_CONTENT && !in_pieces {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}

fn pieces(body: Bytes) -> Body {
    let pieces = (0..body.len()).step_by(PIECE).map(move |from| body.slice(from..body.len().min(from + PIECE)));
    Body::from_stream(stream::iter(pieces.map(Ok::<_, io::Error>)))
}

/// A body that ends too early: its error makes the server close the connection.
fn cut_off(half: Bytes) -> Body {
    let end = stream::once(async {
        tokio::time::sleep(FLUSH_TIME).await;
        Err(io::Error::from(io::ErrorKind::ConnectionAborted))
    });
    Body::from_stream(stream::iter([Ok(half)]).chain(end))
}
