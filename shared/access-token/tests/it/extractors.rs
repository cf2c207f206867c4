use access_token::{AccessTokens, Admin, ApiKeyOrAdmin, Caller, Claims, Role};
use axum::extract::{FromRef, FromRequestParts};
use http::{
    Request, StatusCode,
    header::{AUTHORIZATION, WWW_AUTHENTICATE},
};
use problem_details::Problem;
use uuid::Uuid;

use crate::{API_KEY, tokens};

const USER: Uuid = Uuid::from_u128(7);

/// A service's state, of which the tokens are a part.
struct App {
    tokens: AccessTokens,
}

impl FromRef<App> for AccessTokens {
    fn from_ref(app: &App) -> Self {
        app.tokens.clone()
    }
}

async fn extract<E>(headers: &[(&str, &str)]) -> Result<E, Problem>
where
    E: FromRequestParts<App, Rejection = Problem>,
{
    let mut request = Request::builder();
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    E::from_request_parts(&mut parts, &App { tokens: tokens() }).await
}

async fn with_authorization<E>(value: &str) -> Result<E, Problem>
where
    E: FromRequestParts<App, Rejection = Problem>,
{
    extract(&[(AUTHORIZATION.as_str(), value)]).await
}

fn bearer(role: Role) -> String {
    format!("Bearer {}", tokens().issue(USER, role).unwrap().token)
}

/// Status, challenge and text of an answer.
fn refusal<E: std::fmt::Debug>(result: Result<E, Problem>) -> (StatusCode, Option<String>, String) {
    let problem = result.unwrap_err();
    let answer = problem.render("request", None);
    let challenge = answer.headers().get(WWW_AUTHENTICATE).map(|value| value.to_str().unwrap().to_owned());
    (answer.status(), challenge, format!("{problem:?}"))
}

#[tokio::test]
async fn a_caller_is_whom_the_token_names() {
    let caller = Caller { user_id: USER, role: Role::Customer };
    let token = bearer(Role::Customer);
    assert_eq!(with_authorization::<Caller>(&token).await.unwrap(), caller);
    assert_eq!(with_authorization::<Caller>(&token.replace("Bearer", "bearer ")).await.unwrap(), caller);
}

#[tokio::test]
async fn without_a_token_the_answer_says_that_one_is_needed() {
    let (status, challenge, _) = refusal(extract::<Caller>(&[]).await);
    assert_eq!((status, challenge.as_deref()), (StatusCode::UNAUTHORIZED, Some("Bearer")));
    for other in ["Basic dXNlcjpwYXNz", "Bearer", "token"] {
        let (status, challenge, _) = refusal(with_authorization::<Caller>(other).await);
        assert_eq!((status, challenge.as_deref()), (StatusCode::UNAUTHORIZED, Some("Bearer")), "{other}");
    }
}

#[tokio::test]
async fn a_refused_token_is_called_expired_or_invalid_and_nothing_else() {
    let expired = format!("Bearer {}", tokens().sign(&Claims::new(USER, Role::Admin, 1)).unwrap());
    let forged = bearer(Role::Admin) + "x";
    for (authorization, detail) in [
        (expired.as_str(), "The access token has expired."),
        (&forged, "The access token is not valid."),
        ("Bearer ", "The access token is not valid."),
        ("Bearer a.b.c", "The access token is not valid."),
    ] {
        let (status, challenge, problem) = refusal(with_authorization::<Caller>(authorization).await);
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert_eq!(challenge.as_deref(), Some(r#"Bearer error="invalid_token""#));
        assert!(problem.contains(detail), "{problem}");
    }
}

#[tokio::test]
async fn only_admins_are_admins() {
    let Admin(caller) = with_authorization(&bearer(Role::Admin)).await.unwrap();
    assert!(caller.is_admin());
    let (status, challenge, _) = refusal(with_authorization::<Admin>(&bearer(Role::Customer)).await);
    assert_eq!((status, challenge), (StatusCode::FORBIDDEN, None));
    assert_eq!(refusal(extract::<Admin>(&[]).await).0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_api_key_stands_in_for_an_admin() {
    let with_key = extract::<ApiKeyOrAdmin>(&[("x-api-key", API_KEY)]).await;
    assert_eq!(with_key.unwrap(), ApiKeyOrAdmin::ApiKey);
    let admin = Caller { user_id: USER, role: Role::Admin };
    let with_token = with_authorization::<ApiKeyOrAdmin>(&bearer(Role::Admin)).await;
    assert_eq!(with_token.unwrap(), ApiKeyOrAdmin::Admin(admin));
}

#[tokio::test]
async fn a_wrong_api_key_is_refused_also_beside_an_admins_token() {
    for key in ["wrong", "", "ключ"] {
        let token = bearer(Role::Admin);
        let headers = [("x-api-key", key), (AUTHORIZATION.as_str(), token.as_str())];
        assert_eq!(refusal(extract::<ApiKeyOrAdmin>(&headers).await).0, StatusCode::UNAUTHORIZED, "{key}");
    }
    assert_eq!(refusal(extract::<ApiKeyOrAdmin>(&[]).await).0, StatusCode::UNAUTHORIZED);
    let customer = with_authorization::<ApiKeyOrAdmin>(&bearer(Role::Customer)).await;
    assert_eq!(refusal(customer).0, StatusCode::FORBIDDEN);
}
