//! Answers that are too large for memory: they are read once to be signed, and once more as they are sent.

use std::pin::Pin;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, TryStreamExt as _};

use crate::partner::signature::SigningAnswer;

type Pieces = Pin<Box<dyn Stream<Item = anyhow::Result<Bytes>> + Send>>;

/// The content of such an answer, as a stream of pieces that can be read again and is the same each time. It travels in the response's
/// extensions; the response's body is empty until the gate has signed it.
#[derive(Clone)]
pub struct Pieced(Arc<dyn Fn() -> Pieces + Send + Sync>);

impl Pieced {
    pub fn new<S>(read: impl Fn() -> S + Send + Sync + 'static) -> Pieced
    where
        S: Stream<Item = anyhow::Result<Bytes>> + Send + 'static,
    {
        Pieced(Arc::new(move || Box::pin(read())))
    }

    /// Reads the whole content into a signature.
    ///
    /// # Errors
    /// Reading failed.
    pub async fn sign(&self, signing: &mut SigningAnswer) -> anyhow::Result<()> {
        let mut pieces = (self.0)();
        while let Some(piece) = pieces.try_next().await? {
            signing.add(&piece);
        }
        Ok(())
    }

    /// The content as a body, read again while it is sent.
    pub fn body(&self) -> Body {
        Body::from_stream((self.0)())
    }
}

impl IntoResponse for Pieced {
    fn into_response(self) -> Response {
        let mut response = Response::default();
        response.extensions_mut().insert(self);
        response
    }
}
