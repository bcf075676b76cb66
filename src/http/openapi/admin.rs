//! What the administrator calls: everything under `/api/admin`.

use super::operation::{Operation, delete, get, post, put};
use crate::http::problem::{FOREIGN_ORIGIN, MALFORMED, NOT_FOUND, SLOW_DOWN, UNAVAILABLE, WRONG_PASSWORD, WRONG_STATE};

/// The operations.
pub(super) fn operations() -> Vec<Operation> {
    [sessions(), credentials(), profiles(), executions(), about_the_server()].into_iter().flatten().collect()
}

const NO_EXECUTION: &str = "There is no such execution.";
const NO_PROFILE: &str = "There is no such profile.";
const NO_CREDENTIAL: &str = "There is no such credential.";
const NOT_UNLOCKED: &str = "The profile is locked or revoked.";
const NOT_EDITABLE: &str = "The profile is locked or revoked, or would have too many credentials.";
const WRONG_HOST: &str = "The Host header, or what a proxy says of it, is no host and port.";
const CROSS_SITE: &str = "A browser sends it for another site's page.";

fn sessions() -> Vec<Operation> {
    let open = |operation: Operation| {
        operation
            .tagged("admin")
            .takes("Password", 64)
            .gives(200, "Token", "The session; a browser gets it as a cookie too.")
            .with_header(200, "Set-Cookie")
            .refuses(&FOREIGN_ORIGIN, CROSS_SITE)
            .uses_core()
    };
    vec![
        get("/api/admin/status", "adminStatus", "Whether there is a password, and a session").tagged("admin").gives(
            200,
            "AdminStatus",
            "As it is now.",
        ),
        open(post("/api/admin/setup", "setup", "Set the password, on the first visit"))
            .refuses(&WRONG_STATE, "It is set already."),
        open(post("/api/admin/login", "login", "Open a session"))
            .refuses(&WRONG_PASSWORD, "That is not the password.")
            .refuses(&WRONG_STATE, "No password is set yet.")
            .refuses(&SLOW_DOWN, "Too many failed logins."),
        post("/api/admin/logout", "logout", "End this session")
            .by_admin()
            .takes_nothing()
            .gives_nothing(204, "It has ended.")
            .with_header(204, "Set-Cookie"),
        post("/api/admin/password", "changePassword", "Change the password, which ends the other sessions")
            .by_admin()
            .takes("PasswordChange", 64)
            .gives_nothing(204, "It is changed.")
            .refuses(&WRONG_PASSWORD, "The current one is wrong.")
            .refuses(&SLOW_DOWN, "Too many failed attempts."),
        get("/api/admin/sessions", "sessions", "List the open sessions").by_admin().gives(
            200,
            "Sessions",
            "All of them.",
        ),
        delete("/api/admin/sessions/{id}", "endSession", "End a session")
            .by_admin()
            .of("session", "There is no such session.")
            .takes_nothing()
            .gives_nothing(204, "It has ended."),
    ]
}

fn credentials() -> Vec<Operation> {
    vec![
        get("/api/admin/credentials", "adminCredentials", "List credentials")
            .by_admin()
            .asks(["items", "cursor"])
            .gives(200, "AdminCredentials", "A page."),
        post("/api/admin/credentials", "createCredential", "Make a credential")
            .by_admin()
            .takes("NewCredential", 512)
            .gives(201, "AdminCredential", "It is there.")
            .refuses(&WRONG_STATE, "The name is taken, or there can't be more."),
        put("/api/admin/credentials/{name}", "updateCredential", "Set a value, or change what is said of it")
            .by_admin()
            .of("credential", NO_CREDENTIAL)
            .takes("CredentialChange", 512)
            .gives(200, "AdminCredential", "As it is now."),
        delete("/api/admin/credentials/{name}", "deleteCredential", "Delete a credential")
            .by_admin()
            .of("credential", NO_CREDENTIAL)
            .takes_nothing()
            .gives_nothing(204, "It is gone.")
            .refuses(&WRONG_STATE, "Locked profiles use it: `profiles` names them."),
    ]
}

fn profiles() -> Vec<Operation> {
    let of_one = |operation: Operation| operation.by_admin().of("profile", NO_PROFILE);
    vec![
        get("/api/admin/profiles", "adminProfiles", "List profiles").by_admin().asks(["items", "cursor"]).gives(
            200,
            "AdminProfiles",
            "A page.",
        ),
        post("/api/admin/profiles", "createProfile", "Make a profile")
            .by_admin()
            .takes("NewProfile", 64)
            .gives(201, "AdminProfile", "It is unlocked and has no credentials.")
            .with_header(201, "Location")
            .refuses(&WRONG_STATE, "There can't be more profiles."),
        of_one(get("/api/admin/profiles/{id}", "adminProfile", "Read a profile")).gives(
            200,
            "AdminProfile",
            "As it is now.",
        ),
        of_one(put(
            "/api/admin/profiles/{id}",
            "updateProfile",
            "Change a profile's dates, hosts, limits and description",
        ))
        .takes("ProfileChange", 512)
        .gives(200, "AdminProfile", "As it is now."),
        of_one(delete("/api/admin/profiles/{id}", "deleteProfile", "Delete a profile"))
            .takes_nothing()
            .gives_nothing(204, "It is gone; its executions stay.")
            .refuses(&WRONG_STATE, "It is locked, and not revoked."),
        of_one(post(
            "/api/admin/profiles/{id}/credentials",
            "adminAttach",
            "Attach credentials to an unlocked profile",
        ))
        .takes("Names", 128)
        .gives(200, "AdminProfile", "It has them.")
        .refuses(&NOT_FOUND, "There is no credential of the name in `credential`.")
        .refuses(&WRONG_STATE, NOT_EDITABLE),
        of_one(delete(
            "/api/admin/profiles/{id}/credentials",
            "adminDetach",
            "Detach credentials from an unlocked profile",
        ))
        .takes("Names", 128)
        .gives(200, "AdminProfile", "It does not have them.")
        .refuses(&WRONG_STATE, NOT_UNLOCKED),
        of_one(post("/api/admin/profiles/{id}/lock", "lock", "Lock a profile, and get its key"))
            .takes_nothing()
            .gives(200, "ProfileWithKey", "It is locked. The key is shown this once.")
            .refuses(&WRONG_STATE, "It is locked or revoked, or the credentials in `credentials` have no value."),
        of_one(post("/api/admin/profiles/{id}/regenerate-key", "regenerateKey", "Replace a profile's key"))
            .takes_nothing()
            .gives(200, "ProfileWithKey", "The old secret has stopped working; the id stays.")
            .refuses(&WRONG_STATE, "It is not locked, or is revoked."),
        of_one(post(
            "/api/admin/profiles/{id}/revoke",
            "revoke",
            "End a profile for good, and cancel what runs for it",
        ))
        .takes_nothing()
        .gives(200, "AdminProfile", "It is revoked."),
    ]
}

fn executions() -> Vec<Operation> {
    let of_one = |operation: Operation| operation.by_admin().of("execution", NO_EXECUTION);
    vec![
        get("/api/admin/executions", "adminExecutions", "List executions")
            .by_admin()
            .asks(["profile_id", "since", "status", "limit", "cursor"])
            .gives(200, "Executions", "A page."),
        of_one(get(
            "/api/admin/executions/{id}",
            "adminExecution",
            "Read an execution with its script and all that is known of it",
        ))
        .gives(200, "ExecutionDetail", "As it is now."),
        of_one(delete("/api/admin/executions/{id}", "deleteExecution", "Delete a finished execution"))
            .takes_nothing()
            .gives_nothing(204, "It is gone.")
            .refuses(&WRONG_STATE, "It has not ended."),
        of_one(post("/api/admin/executions/{id}/cancel", "adminCancel", "End an execution with all that it started"))
            .takes_nothing()
            .gives(200, "Execution", "It is cancelled, and nothing of it is left.")
            .refuses(&WRONG_STATE, "It has ended already."),
        of_one(post("/api/admin/executions/{id}/run-again", "runAgain", "Run the script again, for the same profile"))
            .takes_nothing()
            .gives(202, "Accepted", "It is on disk, and runs when it is its turn.")
            .refuses(&MALFORMED, WRONG_HOST)
            .refuses(&WRONG_STATE, "The profile can't run scripts, or a credential has no value.")
            .refuses(&SLOW_DOWN, "The queue is full."),
    ]
}

fn about_the_server() -> Vec<Operation> {
    vec![
        get("/api/admin/overview", "overview", "What needs a person, what lives now, and how it went")
            .by_admin()
            .asks(["window"])
            .gives(200, "Overview", "As it is now, or was a moment ago."),
        get("/api/admin/server", "server", "What this server is and allows")
            .by_admin()
            .gives(200, "Server", "As it was started.")
            .refuses(&MALFORMED, WRONG_HOST),
        get("/api/admin/doctor", "doctor", "The state of the sandbox")
            .by_admin()
            .gives(200, "Sandbox", "As a worker of this server has it.")
            .refuses(&UNAVAILABLE, "No worker is ready to be asked."),
    ]
}
