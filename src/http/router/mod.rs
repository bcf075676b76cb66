//! From a path and a method to a handler, by warp's filters.
//!
//! - `path` is matched first, then its end, then the method: so a known path with another method is a 405 with `Allow`,
//!   and only an unknown path is a 404 (RT-1).
//! - Filters reject for "not my path" only; everything else is a response of the handler (RT-2).
//! - Routes are tried in the table's order and a hit costs nothing for those after it (RT-3).
//! - `GET` answers `HEAD` (hyper leaves the body out), `OPTIONS` is 204 with `Allow` (RT-4).

mod edge;
mod exchange;
mod percent;

use std::future::Future;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::{ALLOW, HeaderValue};
use http::{Method, StatusCode};
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response;

pub(super) use edge::edge;
pub(super) use exchange::{Call, Exchange};

use super::problem::{MALFORMED, NOT_FOUND, Problem, WRONG_METHOD};

/// One path with its methods, or many paths.
pub(super) type Route = BoxedFilter<(Response,)>;

/// What every handler comes to.
pub(super) type Answer = Result<Response, Problem>;

/// One method of a path.
pub(super) struct Endpoint<S> {
    method: Method,
    run: Handler<S>,
}

#[cfg(test)]
impl<S> Endpoint<S> {
    pub(super) fn method(&self) -> &Method {
        &self.method
    }
}

type Handler<S> = Arc<dyn Fn(Call<S>) -> BoxFuture<'static, Answer> + Send + Sync>;

fn endpoint<S, F, A>(method: Method, handler: F) -> Endpoint<S>
where
    F: Fn(Call<S>) -> A + Send + Sync + 'static,
    A: Future<Output = Answer> + Send + 'static,
{
    Endpoint { method, run: Arc::new(move |call| handler(call).boxed()) }
}

macro_rules! method {
    ($name:ident, $method:ident) => {
        #[doc = concat!("`", stringify!($method), "`.")]
        pub(super) fn $name<S, F, A>(handler: F) -> Endpoint<S>
        where
            F: Fn(Call<S>) -> A + Send + Sync + 'static,
            A: Future<Output = Answer> + Send + 'static,
        {
            endpoint(Method::$method, handler)
        }
    };
}
method!(get, GET);
method!(post, POST);
method!(put, PUT);
method!(delete, DELETE);

/// A path such as `/profiles/{id}/credentials`, with at most one parameter, and what its methods do.
pub(super) fn at<S: Send + Sync + 'static>(
    app: &Arc<S>,
    pattern: &'static str,
    endpoints: impl IntoIterator<Item = Endpoint<S>>,
) -> Route {
    let resource = Arc::new(Resource::new(pattern, endpoints.into_iter().collect()));
    let app = Arc::clone(app);
    path(pattern)
        .and(warp::ext::get::<Arc<Exchange>>())
        .then(move |parameter: Option<String>, exchange: Arc<Exchange>| {
            let (resource, app) = (Arc::clone(&resource), Arc::clone(&app));
            async move { resource.answer(app, exchange, parameter).await }
        })
        .boxed()
}

/// Matches a pattern to its end; extracts the parameter as it was sent, percent signs and all.
fn path(pattern: &'static str) -> BoxedFilter<(Option<String>,)> {
    let root = warp::any().map(|| None).boxed();
    let segments = pattern.split('/').filter(|segment| !segment.is_empty());
    let matched = segments.fold(root, |before, segment| {
        if segment.starts_with('{') {
            before.and(warp::path::param::<String>()).map(|_, parameter| Some(parameter)).boxed()
        } else {
            before.and(warp::path(segment)).boxed()
        }
    });
    matched.and(warp::path::end()).boxed()
}

/// The first of these routes that matches; a 404 problem when none does.
pub(super) fn first_of(routes: impl IntoIterator<Item = Route, IntoIter: DoubleEndedIterator>) -> Route {
    let nowhere = warp::any().then(|| async { unknown_path().into_response() }).boxed();
    // From the right, so that a hit is not wrapped in a layer for each route after it.
    routes.into_iter().rfold(nowhere, |rest, route| route.or(rest).unify().boxed())
}

fn unknown_path() -> Problem {
    Problem::new(&NOT_FOUND, "There is nothing at this path; GET /skill.md says what there is.")
}

struct Resource<S> {
    pattern: &'static str,
    endpoints: Vec<Endpoint<S>>,
    allow: HeaderValue,
}

impl<S> Resource<S> {
    fn new(pattern: &'static str, endpoints: Vec<Endpoint<S>>) -> Self {
        let mut methods: Vec<&str> = Vec::new();
        for endpoint in &endpoints {
            methods.push(endpoint.method.as_str());
            if endpoint.method == Method::GET {
                methods.push("HEAD");
            }
        }
        methods.push("OPTIONS");
        // Method names are always fit for a header.
        let allow = HeaderValue::from_str(&methods.join(", ")).unwrap_or(HeaderValue::from_static("OPTIONS"));
        Self { pattern, endpoints, allow }
    }

    async fn answer(&self, app: Arc<S>, exchange: Arc<Exchange>, parameter: Option<String>) -> Response {
        exchange.matched(self.pattern);
        let asked = if exchange.method == Method::HEAD { &Method::GET } else { &exchange.method };
        let Some(endpoint) = self.endpoints.iter().find(|endpoint| endpoint.method == *asked) else {
            return self.other_method(&exchange);
        };
        let parameter = match parameter.map(percent::decode).transpose() {
            Ok(parameter) => parameter,
            Err(percent::Malformed) => {
                return Problem::new(&MALFORMED, "The path has a percent sign that does not encode UTF-8.")
                    .into_response();
            }
        };
        (endpoint.run)(Call { app, exchange, parameter }).await.unwrap_or_else(Problem::into_response)
    }

    fn other_method(&self, exchange: &Exchange) -> Response {
        if exchange.method == Method::OPTIONS {
            let mut response = Response::default();
            *response.status_mut() = StatusCode::NO_CONTENT;
            response.headers_mut().insert(ALLOW, self.allow.clone());
            return response;
        }
        let allowed = self.allow.to_str().unwrap_or_default();
        Problem::new(&WRONG_METHOD, format!("This path takes {allowed}."))
            .header(ALLOW, self.allow.clone())
            .into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{body_text, exchange};
    use super::*;

    async fn echo(call: Call<&'static str>) -> Answer {
        Ok(Response::new(format!("{}:{}", call.app, call.parameter()).into()))
    }

    async fn panics(_: Call<&'static str>) -> Answer {
        panic!("hunter2")
    }

    async fn ask(method: &str, path: &str) -> Response {
        let app = Arc::new("app");
        let routes = first_of([
            at(&app, "/", [get(echo)]),
            at(&app, "/things/{id}", [get(echo), delete(echo)]),
            at(&app, "/things/{id}/parts", [post(echo)]),
            at(&app, "/panic", [get(panics)]),
        ]);
        edge(routes)(exchange(method, path, &[])).await
    }

    #[tokio::test]
    async fn a_path_and_a_method_find_their_handler() {
        for (method, path, body) in [
            ("GET", "/", "app:"),
            ("GET", "/things/a%20b%2Fc", "app:a b/c"),
            ("DELETE", "/things/%C3%A9", "app:é"),
            ("POST", "/things/1/parts?x=/y", "app:1"),
        ] {
            let response = ask(method, path).await;
            assert_eq!(response.status(), 200, "{method} {path}");
            assert_eq!(body_text(response), body);
        }
    }

    #[tokio::test]
    async fn rt_1_other_methods_are_405_with_allow_and_other_paths_404() {
        for (method, path, allow) in [
            ("POST", "/", "GET, HEAD, OPTIONS"),
            ("PATCH", "/things/1", "GET, HEAD, DELETE, OPTIONS"),
            ("GET", "/things/1/parts", "POST, OPTIONS"),
            ("HEAD", "/things/1/parts", "POST, OPTIONS"),
        ] {
            let response = ask(method, path).await;
            assert_eq!(response.status(), 405, "{method} {path}");
            assert_eq!(response.headers()[ALLOW], allow);
        }
        for path in ["/nothing", "/things", "/things/1/2", "/things//parts", "/%74hings/1"] {
            let response = ask("GET", path).await;
            assert_eq!(response.status(), 404, "{path}");
            assert_eq!(response.headers()["content-type"], "application/problem+json");
        }
    }

    #[tokio::test]
    async fn rt_4_head_is_get_and_options_says_what_is_allowed() {
        assert_eq!(ask("HEAD", "/things/1").await.status(), 200);
        let response = ask("OPTIONS", "/things/1").await;
        assert_eq!(response.status(), 204);
        assert_eq!(response.headers()[ALLOW], "GET, HEAD, DELETE, OPTIONS");
    }

    #[tokio::test]
    async fn malformed_percent_encoding_is_400() {
        for path in ["/things/%", "/things/%zz", "/things/%ff"] {
            assert_eq!(ask("GET", path).await.status(), 400, "{path}");
        }
    }

    #[tokio::test]
    async fn a_panic_is_a_500_without_its_words() {
        let response = ask("GET", "/panic").await;
        assert_eq!(response.status(), 500);
        assert!(!body_text(response).contains("hunter2"));
    }

    #[tokio::test]
    async fn every_response_is_protected_from_sniffing() {
        for path in ["/", "/nothing", "/panic"] {
            assert_eq!(ask("GET", path).await.headers()["x-content-type-options"], "nosniff");
        }
    }
}
