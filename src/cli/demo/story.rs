//! The acts.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use super::cast::{HandedOut, Key, Secrets, hmac_sha256};
use super::client::{Answer, Ask, Client};
use super::instance::Instance;
use super::layout::pick;
use super::scripts::{
    ADDED, NAME, ORDER, ORDER_CENTS, ORDER_REDACTIONS, ORDER_STDOUT, ORDER_TEXT, REDACTED, REFUSED, REFUSED_ERROR,
    REFUSED_FRAMES, frames,
};
use super::show::Show;
use super::verdict::Verdict;

/// For the first worker, and for a script that takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);
const READY_PAUSE: Duration = Duration::from_millis(10);
const PROFILE: [&str; 3] = ["id", "status", "credentials"];
const FINISHED: [&str; 7] = ["status", "execution_time_ms", "result", "stdout", "stderr", "error", "traceback"];

/// One telling.
pub(super) struct Story<'a, 'o> {
    show: &'a mut Show<'o>,
    instance: &'a mut Instance,
    verdict: &'a mut Verdict,
    secrets: &'a Secrets,
    client: Client,
    given: HandedOut,
}

impl<'a, 'o> Story<'a, 'o> {
    pub(super) fn new(
        show: &'a mut Show<'o>,
        instance: &'a mut Instance,
        verdict: &'a mut Verdict,
        secrets: &'a Secrets,
    ) -> anyhow::Result<Self> {
        show.mask(&secrets.password);
        show.mask(&secrets.value);
        Ok(Self { show, instance, verdict, secrets, client: Client::new()?, given: HandedOut::default() })
    }

    /// From the start of the server to its last answer. Returns the secrets that the server made.
    pub(super) async fn tell(mut self) -> anyhow::Result<HandedOut> {
        self.show.sentence(
            "Airlock, shown on a temporary instance. > is sent, < is answered, ******** is not shown here.",
        )?;
        self.show.title("Act 1: an agent uses a credential that it never sees")?;
        self.prepare().await?;
        let order = self.order().await?;
        self.show.title("Act 2: what goes wrong")?;
        self.tampered().await?;
        self.refused().await?;
        self.show.title("Act 3: the server restarts")?;
        self.restart(&order).await?;
        self.search_answers();
        Ok(self.given)
    }

    /// Everything before the first script.
    async fn prepare(&mut self) -> anyhow::Result<()> {
        self.show.step("Airlock starts in a temporary folder, on a free port of this machine.")?;
        self.start().await?;

        self.show.step("The person sets the password: from now on only they can fill in values and lock profiles.")?;
        let setup = Ask::post("/api/admin/setup").json(json!({"password": self.secrets.password}));
        let answer = self.client.send(&setup).await?;
        // Before it is shown.
        self.given.token = answer.text("token").to_owned();
        self.show.mask(&self.given.token);
        self.shown(&setup, None, answer, 200, &["token"])?;

        self.show
            .step("The agent needs a key of the shop's. It makes the slot; it can't and need not know the value.")?;
        let slot = json!({"name": NAME, "description": "Signs orders at the shop"});
        self.ask(Ask::post("/credentials").json(json!({"credentials": [slot]})), 201, &["created", "skipped"]).await?;

        self.show.step("The person fills in the value. It is sealed on disk, and no answer will ever hold it.")?;
        let token = self.given.token.clone();
        let fill = Ask::put(format!("/api/admin/credentials/{NAME}")).by(&token);
        self.ask(fill.json(json!({"value": self.secrets.value})), 200, &["name", "description", "has_value"]).await?;

        self.show.step("The agent makes a profile, which is to hold what one job needs and nothing else.")?;
        let profile = Ask::post("/profiles").json(json!({"description": "Coffee orders"}));
        let id = self.ask(profile, 201, &PROFILE).await?.text("id").to_owned();
        self.show.step("It attaches the credential to it.")?;
        let attach = Ask::post(format!("/profiles/{id}/credentials")).json(json!({"credentials": [NAME]}));
        self.ask(attach, 200, &PROFILE).await?;

        self.show.step("The person looks it over and locks it: nothing in it changes now. The key is shown once.")?;
        let lock = Ask::post(format!("/api/admin/profiles/{id}/lock")).by(&token);
        let answer = self.client.send(&lock).await?;
        if let Some(key) = Key::parse(answer.text("key")) {
            self.show.mask(&key.secret);
            self.given.key = key;
        }
        let answer = self.shown(&lock, None, answer, 200, &["id", "status", "key"])?;
        ensure!(self.given.key.id == id && answer.text("status") == "locked", "the profile was locked without a key");
        Ok(())
    }

    /// A script that works with the value and shows it by mistake. Returns the finished execution.
    async fn order(&mut self) -> anyhow::Result<Finished> {
        self.show
            .step("The agent asks whether scripts can run. A worker is ready, behind these layers of a sandbox.")?;
        self.ready().await?;

        self.show.step(
            "The agent signs a script (HMAC-SHA256, with the secret half of its key, which it never sends) and hands it in. \
             The script puts the value into its output and into its result, as happens.",
        )?;
        let hash = self.given.key.sign(ORDER)?;
        let finished = self.run(json!({"script": ORDER, "hash": hash})).await?;
        let result = |member: &str| finished.answer.json.get("result").and_then(|result| result.get(member));
        let seal = hmac_sha256(&self.secrets.value, ORDER_TEXT)?;
        let sealed = result("seal") == Some(&json!(seal)) && result("cents") == Some(&json!(ORDER_CENTS));
        self.verdict.that(sealed, "The script had the value: the seal that it made with it is right.");
        let redacted = finished.answer.text("stdout") == ORDER_STDOUT && result("key") == Some(&json!(REDACTED));
        self.verdict.that(redacted, "Where the value stood in its output and its result, there is [REDACTED].");

        self.show.step("The person sees in the history what was redacted, and where.")?;
        let detail = Ask::get(format!("/api/admin/executions/{}", finished.id));
        let token = self.given.token.clone();
        let detail = self.ask(detail.by(&token), 200, &["status", "redactions", "suspicious"]).await?;
        let expected: Vec<Value> = ORDER_REDACTIONS
            .map(|(field, count)| json!({"field": field, "credential": NAME, "form": "literal", "count": count}))
            .into();
        let found = detail.json.get("redactions").and_then(Value::as_array);
        let same =
            found.is_some_and(|found| found.len() == expected.len() && expected.iter().all(|one| found.contains(one)));
        self.verdict.that(same, "The person is told of 2 redactions: 1 in stdout, 1 in the result.");
        Ok(finished)
    }

    /// A script that was changed after it was signed.
    async fn tampered(&mut self) -> anyhow::Result<()> {
        self.show.step(
            "Somebody between the agent and Airlock adds a line to the script. Without the secret they can't sign it anew, so \
             it is refused.",
        )?;
        let hash = self.given.key.sign(ORDER)?;
        let shown = json!({"script": format!("(the script of before, and)\n{ADDED}"), "hash": hash});
        let id = self.given.key.id.clone();
        let ask = Ask::post("/execute").by(&id).json(json!({"script": format!("{ORDER}{ADDED}"), "hash": hash}));
        let answer = self.client.send(&ask).await?;
        let refused = answer.status == 403 && answer.text("type").ends_with(":wrong-signature");
        self.shown(&ask, Some(&shown), answer, 403, &["title", "status", "detail"])?;
        self.verdict.that(refused, "A script that was changed on its way is refused with 403.");
        Ok(())
    }

    /// A script that fails with the value in its exception.
    async fn refused(&mut self) -> anyhow::Result<()> {
        self.show.step(
            "A script fails. The agent learns the reason, the line and the way there, and can correct it. The value is in none \
             of them, though the exception quotes it.",
        )?;
        let hash = self.given.key.sign(REFUSED)?;
        let failed = self.run(json!({"script": REFUSED, "hash": hash})).await?.answer;
        let told = failed.text("status") == "error" && failed.text("error") == REFUSED_ERROR;
        self.verdict.that(told, "A failing script's error says what failed and on which line, redacted.");
        let own = frames(failed.text("traceback")) == REFUSED_FRAMES;
        self.verdict.that(own, "Its traceback has the script's own lines and no others.");

        self.show.step("The person looks at the history, newest first: the changed script never ran.")?;
        let token = self.given.token.clone();
        let history = self.client.send(&Ask::get("/api/admin/executions").by(&token)).await?;
        let listed = history.json.get("executions").and_then(Value::as_array).cloned().unwrap_or_default();
        let statuses: Vec<&str> = listed.iter().filter_map(|one| one.get("status")?.as_str()).collect();
        self.verdict.that(
            statuses == ["error", "completed"],
            "The changed script never ran: the history holds only the other two.",
        );
        // A line each is enough to see that.
        let members = ["status", "created_at"];
        let rows: Value = listed.iter().map(|one| pick(one, &members)).collect();
        let brief = Answer { json: json!({"executions": rows}), ..history };
        self.shown(&Ask::get("/api/admin/executions").by(&token), None, brief, 200, &["executions"])?;
        Ok(())
    }

    /// What is finished is on disk.
    async fn restart(&mut self, order: &Finished) -> anyhow::Result<()> {
        self.show.step("Airlock is stopped, and started again on the same folder.")?;
        self.instance.stop().await?;
        self.start().await?;

        self.show.step("The agent asks for the order's execution once more: it is as it was, to the byte.")?;
        let again =
            self.ask(Ask::get(format!("/executions/{}", order.id)), 200, &["status", "result", "stdout"]).await?;
        self.verdict.that(
            again.body == order.answer.body,
            "After a restart, a finished execution's answer is the same, to the byte.",
        );
        Ok(())
    }

    /// The claims about every answer there was.
    fn search_answers(&mut self) {
        let (client, given) = (&self.client, &self.given);
        let claim = format!("The value is in none of the {} answers, heads and bodies.", client.count());
        self.verdict.that(client.holding(&self.secrets.value) == 0, claim);
        let once = client.holding(&given.token) == 1 && client.holding(&given.key.secret) == 1;
        let never = client.holding(&self.secrets.password) == 0;
        self.verdict.that(
            once && never,
            "The session's token and the profile's secret are in one answer each, the password in none.",
        );
    }

    async fn start(&mut self) -> anyhow::Result<()> {
        let url = self.instance.start().await?;
        let command = "airlock serve --listen 127.0.0.1:0 --data-dir TEMPORARY";
        self.show.command(command, &format!("listening on {url}"))?;
        self.client.turn_to(url);
        Ok(())
    }

    /// Asks until a worker is there, and shows the answer that says so.
    async fn ready(&mut self) -> anyhow::Result<()> {
        let begin = Instant::now();
        let ask = Ask::get("/ready");
        let mut answer = self.client.send(&ask).await?;
        while answer.status == 503 && begin.elapsed() < PATIENCE {
            tokio::time::sleep(READY_PAUSE).await;
            answer = self.client.send(&ask).await?;
        }
        if let Some(worker) = answer.json.get_mut("worker") {
            *worker = pick(worker, &["python", "layers"]);
        }
        self.shown(&ask, None, answer, 200, &["status", "worker"])?;
        Ok(())
    }

    /// Hands a signed script in, and polls until it is finished.
    async fn run(&mut self, body: Value) -> anyhow::Result<Finished> {
        let id = self.given.key.id.clone();
        let accepted =
            self.ask(Ask::post("/execute").by(&id).json(body), 202, &["execution_id", "status", "poll_url"]).await?;
        let path = self.client.path_of(accepted.text("poll_url")).context("the poll URL leads elsewhere")?.to_owned();
        self.show.step("By that answer it is on disk. The agent polls, and hears as soon as something changes.")?;
        let begin = Instant::now();
        loop {
            let answer = self.ask(Ask::get(format!("{path}?wait=10")), 200, &FINISHED).await?;
            if !["pending", "running"].contains(&answer.text("status")) {
                return Ok(Finished { id: accepted.text("execution_id").to_owned(), answer });
            }
            if begin.elapsed() > PATIENCE {
                bail!("the script did not finish within {} s", PATIENCE.as_secs());
            }
        }
    }

    async fn ask(&mut self, ask: Ask<'_>, expected: u16, members: &[&str]) -> anyhow::Result<Answer> {
        let answer = self.client.send(&ask).await?;
        self.shown(&ask, None, answer, expected, members)
    }

    /// Shows both, and checks the status: an unexpected one ends the story.
    fn shown(
        &mut self,
        ask: &Ask<'_>,
        body: Option<&Value>,
        answer: Answer,
        expected: u16,
        members: &[&str],
    ) -> anyhow::Result<Answer> {
        self.show.request(ask, body.or(ask.body.as_ref()))?;
        let problem = ["title", "status", "detail"];
        self.show.answer(&answer, if answer.status == expected { members } else { &problem })?;
        if answer.status != expected {
            let (method, path, status) = (ask.method, &ask.path, answer.status);
            bail!("{method} {path} was answered with {status}, not {expected}: {}", answer.text("detail"));
        }
        Ok(answer)
    }
}

/// A finished execution.
struct Finished {
    id: String,
    answer: Answer,
}
