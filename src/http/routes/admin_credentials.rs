//! Credentials as the administrator fills them. A value goes in and never comes out.

use std::collections::HashMap;

use airlock_actors::core::{CredentialChange, CredentialView, NewCredential};
use airlock_actors::domain::credential::{MAX_DESCRIPTION_BYTES, MAX_VALUE_BYTES};
use airlock_actors::domain::{CredentialName, ProfileId};

use super::pages::Page;
use super::{Answer, Call, created, done, max_body, ok, to_the_end};
use crate::http::fields::{self, Fields, boolean, credential_name, secret_value, text_up_to};
use crate::http::json::Object;
use crate::http::problem::Problem;
use crate::http::{auth, json, views};

/// `GET /api/admin/credentials?limit=&cursor=`: by name.
pub(in crate::http) async fn list(call: Call) -> Answer {
    auth::admin(&call).await?;
    let page = Page::asked(&call)?;
    let _turn = call.app.turn().await;
    let credentials = call.app.core.credentials().await?;
    let profiles = call.app.core.profiles().await?;
    let weaknesses = call.app.core.weaknesses().await;
    let mut users: HashMap<&CredentialName, Vec<&ProfileId>> = HashMap::new();
    for profile in &profiles {
        for name in &profile.credentials {
            users.entry(name).or_default().push(&profile.id);
        }
    }
    let shape = |object: &mut Object<'_>, credential: &CredentialView| {
        let users = users.get(&credential.name).map_or(&[][..], Vec::as_slice);
        views::admin_credential(object, credential, users, &weaknesses);
    };
    let rest = page.rest(&credentials, |credential| credential.name.clone());
    ok(page.object(rest, "credentials", shape, |credential| credential.name.to_string()))
}

/// `POST /api/admin/credentials`
pub(in crate::http) async fn create(call: Call) -> Answer {
    auth::admin(&call).await?;
    let body = call.body(max_body::VALUE).await?;
    let new = fields::read(&body, |fields| {
        let name = fields.required("name", credential_name);
        let change = change(fields)?;
        Some(NewCredential {
            name: name?,
            description: change.description.unwrap_or_default(),
            value: change.value,
            secret: change.secret.unwrap_or(true),
        })
    })?;
    let core = call.app.core.clone();
    let credential = to_the_end(async move { core.create_credential(new).await }).await?;
    created(shown(&call, &credential).await?)
}

/// `PUT /api/admin/credentials/{name}`: what is left out stays as it is.
pub(in crate::http) async fn update(call: Call) -> Answer {
    auth::admin(&call).await?;
    let name = call.credential_name()?;
    let body = call.body(max_body::VALUE).await?;
    let change = fields::read(&body, change)?;
    let core = call.app.core.clone();
    let credential = to_the_end(async move { core.update_credential(name, change).await }).await?;
    ok(shown(&call, &credential).await?)
}

/// `DELETE /api/admin/credentials/{name}`
pub(in crate::http) async fn remove(call: Call) -> Answer {
    auth::admin(&call).await?;
    let name = call.credential_name()?;
    call.no_body().await?;
    let core = call.app.core.clone();
    to_the_end(async move { core.delete_credential(name).await }).await?;
    Ok(done())
}

fn change(fields: &mut Fields<'_>) -> Option<CredentialChange> {
    let description = fields.optional("description", text_up_to(MAX_DESCRIPTION_BYTES));
    let value = fields.optional("value", secret_value(MAX_VALUE_BYTES));
    let secret = fields.optional("secret", boolean);
    Some(CredentialChange { description: description?, value: value?, secret: secret? })
}

async fn shown(call: &Call, credential: &CredentialView) -> Result<Vec<u8>, Problem> {
    let _turn = call.app.turn().await;
    let profiles = call.app.core.profiles().await?;
    let users = profiles.iter().filter(|profile| profile.credentials.contains(&credential.name));
    let users: Vec<&ProfileId> = users.map(|profile| &profile.id).collect();
    let weaknesses = call.app.core.weaknesses().await;
    Ok(json::object(512, |object| views::admin_credential(object, credential, &users, &weaknesses)))
}
