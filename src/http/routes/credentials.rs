//! Agents' slots: names and descriptions, never values.

use airlock_actors::core::NewCredential;
use airlock_actors::domain::{CredentialName, Secret};

use super::pages::Page;
use super::{Answer, Call, MAX_AGENTS_DESCRIPTION_BYTES, MAX_NAMES, created, max_body, ok, to_the_end};
use crate::http::fields::{self, Read, credential_name, object, text_up_to};
use crate::http::problem::Fault;
use crate::http::{json, views};

/// `GET /credentials?limit=&cursor=`: by name.
pub(in crate::http) async fn list(call: Call) -> Answer {
    let page = Page::asked(&call)?;
    let _turn = call.app.turn().await;
    let credentials = call.app.core.credentials().await?;
    let rest = page.rest(&credentials, |credential| credential.name.clone());
    ok(page.object(rest, "credentials", views::slot, |credential| credential.name.to_string()))
}

/// `POST /credentials`: names that exist, or come twice, are skipped.
pub(in crate::http) async fn create_slots(call: Call) -> Answer {
    let body = call.body(max_body::SLOTS).await?;
    let asked = fields::read(&body, |body| body.required("credentials", fields::list(MAX_NAMES, slot)))?;
    let core = call.app.core.clone();
    let slots = to_the_end(async move { core.create_slots(asked).await }).await?;
    created(json::object(1024, |object| {
        object.texts("created", slots.created.iter().map(|credential| credential.name.as_str()));
        object.texts("skipped", slots.skipped.iter().map(CredentialName::as_str));
    }))
}

fn slot(raw: &serde_json::value::RawValue) -> Read<NewCredential> {
    object(raw, |fields| {
        let name = fields.required("name", credential_name);
        let description = fields.optional("description", text_up_to(MAX_AGENTS_DESCRIPTION_BYTES));
        let value: Option<Option<Secret>> =
            fields.optional("value", |_| Err(vec![Fault::new("", "is not taken from agents; a person sets it")]));
        value?;
        Some(NewCredential { name: name?, description: description?.unwrap_or_default(), value: None, secret: true })
    })
}
