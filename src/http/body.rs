//! Request bodies: capped in size, time and number, wiped after use, and read to their end when they are refused.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use tokio::time::{Instant, timeout, timeout_at};
use zeroize::{Zeroize, Zeroizing};

use super::budget::{Budget, Share};
use super::problem::{MALFORMED, Problem, STALLED, TOO_LARGE, WRONG_TYPE};

/// What a transport's body fails with.
pub(super) type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// How much and how long a body may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyLimits {
    /// Most bytes.
    pub(super) max_bytes: usize,
    /// Longest wait for the next piece.
    pub(super) idle: Duration,
    /// Longest time for all of it.
    pub(super) total: Duration,
}

/// After an early answer, this much of the rest is read and thrown away, for so long. Closing at once would reset the
/// connection, and a client that is still sending would never see the answer.
const LINGER_BYTES: usize = 64 * 1024 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(5);

/// The bytes of a body, wiped when they are dropped, with what they have of the budget until then.
#[derive(Debug)]
pub(super) struct Body {
    bytes: Zeroizing<Vec<u8>>,
    share: Share,
}

impl std::ops::Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Body {
    /// The body of a request that has none, or none any more.
    pub(super) fn empty(budget: &Budget) -> Self {
        Self { bytes: Zeroizing::default(), share: budget.share() }
    }

    /// Appends. When the bytes have to move to a larger place, that is paid for first and the old one wiped.
    fn append(&mut self, piece: &[u8], max_bytes: usize) -> Result<(), Problem> {
        let length = self.bytes.len() + piece.len();
        if self.bytes.capacity() < length {
            let capacity = length.next_power_of_two().min(max_bytes).max(length);
            self.share.grow_to(capacity)?;
            let mut larger = Zeroizing::new(Vec::with_capacity(capacity));
            larger.extend_from_slice(&self.bytes);
            self.bytes = larger;
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }
}

/// A body that nobody has read to its end yet. Dropped early, it lingers.
pub(super) struct RequestBody(Option<UnsyncBoxBody<Bytes, BodyError>>);

impl RequestBody {
    /// Takes over a transport's body.
    pub(super) fn new<B>(body: B) -> Self
    where
        B: http_body_util::BodyExt<Data = Bytes> + Send + 'static,
        B::Error: Into<BodyError>,
    {
        if body.is_end_stream() { Self(None) } else { Self(Some(body.map_err(Into::into).boxed_unsync())) }
    }

    /// The next piece; `None` at the end.
    async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        loop {
            let Some(frame) = self.0.as_mut()?.frame().await else {
                self.0 = None;
                return None;
            };
            match frame.map(hyper::body::Frame::into_data).map(Result::ok) {
                Ok(Some(data)) => return Some(Ok(data)),
                Ok(None) => {}
                Err(error) => {
                    self.0 = None;
                    return Some(Err(error));
                }
            }
        }
    }

    /// All of it.
    pub(super) async fn read(
        mut self,
        headers: &HeaderMap,
        limits: BodyLimits,
        budget: &Budget,
    ) -> Result<Body, Problem> {
        let too_large = || {
            let detail =
                format!("The body is larger than the {} bytes that this call takes; send less.", limits.max_bytes);
            Problem::new(&TOO_LARGE, detail)
        };
        let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|announced| announced > limits.max_bytes as u64) {
            return Err(too_large());
        }
        let mut body = Body::empty(budget);
        let deadline = Instant::now() + limits.total;
        loop {
            let piece = match timeout_at(deadline.min(Instant::now() + limits.idle), self.next()).await {
                Ok(Some(Ok(piece))) => piece,
                Ok(None) => return Ok(body),
                Ok(Some(Err(_))) => {
                    return Err(Problem::new(&MALFORMED, "The body broke off, or its chunks are malformed.").closing());
                }
                Err(_) => {
                    // Nothing to linger for: whatever came later would come too late.
                    self.0 = None;
                    return Err(Problem::new(&STALLED, "The body did not arrive in time; send it again.").closing());
                }
            };
            if piece.len() > limits.max_bytes - body.len() {
                return Err(too_large());
            }
            let appended = body.append(&piece, limits.max_bytes);
            wipe(piece);
            appended?;
        }
    }
}

/// Wipes a piece if nobody shares its memory; the transport's read buffer often does.
fn wipe(piece: Bytes) {
    if let Ok(mut unique) = piece.try_into_mut() {
        BytesMut::as_mut(&mut unique).zeroize();
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let Some(mut body) = self.0.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(timeout(LINGER_TIME, async move {
            let mut left = LINGER_BYTES;
            while let Some(Ok(frame)) = body.frame().await {
                match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                    Some(rest) => left = rest,
                    None => break,
                }
            }
        }));
    }
}

/// 415 unless the body is said to be JSON, whatever the parameters.
pub(super) fn expect_json(headers: &HeaderMap) -> Result<(), Problem> {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = media_type.split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(Problem::new(&WRONG_TYPE, "The body has to be JSON; send it with `Content-Type: application/json`."))
    }
}

#[cfg(test)]
mod tests {
    use super::super::budget::FREE_BYTES;
    use super::*;
    use futures_util::{StreamExt, stream};
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;

    const LIMITS: BodyLimits =
        BodyLimits { max_bytes: 10, idle: Duration::from_secs(30), total: Duration::from_secs(60) };

    fn chunked(pieces: Vec<&'static str>) -> RequestBody {
        let frames = pieces.into_iter().map(|piece| Ok::<_, BodyError>(Frame::data(Bytes::from(piece))));
        RequestBody::new(StreamBody::new(stream::iter(frames.collect::<Vec<_>>())))
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), http::HeaderValue::from_static(value)))
            .collect()
    }

    async fn status(body: RequestBody, headers: HeaderMap) -> u16 {
        match body.read(&headers, LIMITS, &Budget::new(0)).await {
            Ok(_) => 200,
            Err(problem) => problem.into_response().status().as_u16(),
        }
    }

    #[tokio::test]
    async fn bodies_at_the_limit_pass_and_one_past_it_are_413() {
        let length = |text| headers(&[("content-length", text)]);
        assert_eq!(status(RequestBody::new(Full::from("0123456789")), length("10")).await, 200);
        assert_eq!(status(RequestBody::new(Full::from("0123456789a")), length("11")).await, 413);
        assert_eq!(status(chunked(vec!["01234", "56789"]), HeaderMap::new()).await, 200);
        assert_eq!(status(chunked(vec!["01234", "56789", "a"]), HeaderMap::new()).await, 413);
        assert_eq!(
            status(chunked(vec!["x"]), length("99999999999999999999999999")).await,
            200,
            "hyper refuses it before"
        );
    }

    #[tokio::test]
    async fn an_announced_length_is_refused_before_anything_is_read() {
        let silent = StreamBody::new(stream::pending::<Result<_, BodyError>>());
        assert_eq!(status(RequestBody::new(silent), headers(&[("content-length", "11")])).await, 413);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_body_is_408_and_ends_the_connection() {
        let stalled = stream::iter([Ok::<_, BodyError>(Frame::data(Bytes::from("x")))]).chain(stream::pending());
        let began = Instant::now();
        let problem = RequestBody::new(StreamBody::new(stalled)).read(&HeaderMap::new(), LIMITS, &Budget::new(0)).await;
        let problem = problem.expect_err("stalls");
        let response = problem.into_response();
        assert_eq!(response.status(), 408);
        assert_eq!(response.headers()["connection"], "close");
        assert_eq!(began.elapsed().as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dripping_body_is_408_too() {
        let drip = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(29)).await;
            Some((Ok::<_, BodyError>(Frame::data(Bytes::from("x"))), ()))
        });
        let began = Instant::now();
        assert_eq!(status(RequestBody::new(StreamBody::new(Box::pin(drip))), HeaderMap::new()).await, 408);
        assert_eq!(began.elapsed().as_secs(), 60);
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_400() {
        let broken = stream::iter([Err::<Frame<Bytes>, BodyError>("reset".into())]);
        assert_eq!(status(RequestBody::new(StreamBody::new(broken)), HeaderMap::new()).await, 400);
    }

    #[tokio::test]
    async fn bu_1_bodies_share_a_budget_until_they_are_dropped() {
        const LARGE: BodyLimits = BodyLimits { max_bytes: 64 * 1024, ..LIMITS };
        let budget = Budget::new(64 * 1024);
        let read = async |bytes: usize| {
            RequestBody::new(Full::from(vec![b'x'; bytes])).read(&HeaderMap::new(), LARGE, &budget).await
        };
        let first = read(40_000).await.expect("there is enough");
        let refused = read(40_000).await.expect_err("there is not enough for two").into_response();
        assert_eq!(refused.status(), 503);
        assert!(refused.headers().contains_key("retry-after"));
        read(FREE_BYTES).await.expect("a small one always fits");
        assert_eq!(first.len(), 40_000);
        drop(first);
        read(64 * 1024).await.expect("there is enough again");
    }

    #[tokio::test]
    async fn bu_1_an_announced_length_costs_nothing() {
        let budget = Budget::new(64 * 1024);
        let limits = BodyLimits { max_bytes: 1024 * 1024, ..LIMITS };
        let announcing = headers(&[("content-length", "1000000")]);
        let silent = StreamBody::new(stream::pending::<Result<_, BodyError>>());
        let mut waiting = Box::pin(RequestBody::new(silent).read(&announcing, limits, &budget));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        budget.share().grow_to(64 * 1024).expect("all of it is left");
    }

    #[test]
    fn only_json_is_taken() {
        for (value, taken) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/jsonx", false),
            ("text/plain", false),
            ("application/x-www-form-urlencoded", false),
            ("", false),
        ] {
            assert_eq!(expect_json(&headers(&[("content-type", value)])).is_ok(), taken, "{value}");
        }
        assert!(expect_json(&HeaderMap::new()).is_err());
    }
}
