//! Routes and their documentation out of one list of handlers.

use axum::{
    Router,
    handler::Handler,
    routing::{MethodFilter, on},
};
use utoipa::openapi::HttpMethod;

/// Makes the functions `routes` and `documentation` of a service out of its handlers, each of them annotated with
/// `#[utoipa::path]`: the method and path that are documented are those that are served.
///
/// A function is started with its routes alone: building the documentation as well would take a start longer than all
/// the rest of the routes.
///
/// Handlers in modules of their own come last: `Shop: list, read; images::{add, remove}`.
#[macro_export]
macro_rules! routes {
    ($service:ty: $($handler:ident),+ $(; $module:ident::{$($inner:ident),+ $(,)?})* $(,)?) => {
        /// The service's own routes.
        pub(crate) fn routes() -> $crate::__private::Router<$service> {
            let router = $crate::__private::Router::new();
            $crate::__private::paste! {
                $( let router = $crate::__private::route::<[<__path_ $handler>], _, _, _>(router, $handler); )+
                $($( let router = $crate::__private::route::<$module::[<__path_ $inner>], _, _, _>(router, $module::$inner); )+)*
            }
            router
        }

        /// What the routes are for, as OpenAPI says it.
        pub(crate) fn documentation() -> $crate::__private::utoipa::openapi::OpenApi {
            use $crate::__private::utoipa;

            #[derive(utoipa::OpenApi)]
            #[openapi(paths($($handler,)+ $($($module::$inner),+),*))]
            struct Documentation;
            <Documentation as utoipa::OpenApi>::openapi()
        }
    };
}

/// Adds a handler at the method and path that its documentation names.
pub fn route<P, S, H, T>(router: Router<S>, handler: H) -> Router<S>
where
    P: utoipa::Path,
    S: Clone + Send + Sync + 'static,
    H: Handler<T, S>,
    T: 'static,
{
    let methods = P::methods().into_iter().map(filter).reduce(MethodFilter::or);
    router.route(&P::path(), on(methods.expect("a documented route has a method"), handler))
}

fn filter(method: HttpMethod) -> MethodFilter {
    match method {
        HttpMethod::Get => MethodFilter::GET,
        HttpMethod::Post => MethodFilter::POST,
        HttpMethod::Put => MethodFilter::PUT,
        HttpMethod::Delete => MethodFilter::DELETE,
        HttpMethod::Options => MethodFilter::OPTIONS,
        HttpMethod::Head => MethodFilter::HEAD,
        HttpMethod::Patch => MethodFilter::PATCH,
        HttpMethod::Trace => MethodFilter::TRACE,
    }
}
