//! The administrator's history: pages, filters, and the detail that agents do not see.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Agent, Launch, Server, ready_profile, shared, shared_agent, text};

fn ids(list: &[Value]) -> Vec<String> {
    list.iter().map(|execution| text(execution, "execution_id").to_owned()).collect()
}

async fn run_all(agent: &Agent, scripts: &[&str]) -> Vec<String> {
    let mut newest_first = Vec::new();
    for script in scripts {
        let done = agent.run(script).await;
        newest_first.insert(0, text(&done, "execution_id").to_owned());
    }
    newest_first
}

#[tokio::test]
async fn all_executions_are_listed_newest_first() {
    let server = Server::start();
    let (one, two) = (ready_profile(&server, &[]).await, ready_profile(&server, &[]).await);
    let admin = server.admin().await;
    assert_eq!(admin.get("/executions").await.expect(200), json!({"executions": []}));
    let mut expected = Vec::new();
    for agent in [&one, &two, &one] {
        expected.splice(0..0, run_all(agent, &["pass"]).await);
    }
    let page = admin.get("/executions").await.expect(200);
    assert_eq!(ids(page["executions"].as_array().unwrap()), expected);
    assert!(page.get("next_cursor").is_none(), "{page}");
    for execution in page["executions"].as_array().unwrap() {
        assert_eq!(execution["status"], "completed");
        for member in ["profile_id", "created_at", "completed_at", "execution_time_ms"] {
            assert!(!execution[member].is_null(), "{member}: {execution}");
        }
        assert!(execution.get("script").is_none(), "a list carries no scripts: {execution}");
    }
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_double_while_new_ones_arrive() {
    let server = shared().await;
    let admin = server.admin().await;
    let agent = ready_profile(server, &[]).await;
    let expected = run_all(&agent, &["pass"; 7]).await;
    let filter = format!("/executions?profile_id={}&limit=3", agent.id);

    let mut seen = Vec::new();
    let mut cursor = None::<String>;
    loop {
        let path = cursor.map_or_else(|| filter.clone(), |cursor| format!("{filter}&cursor={cursor}"));
        let page = admin.get(&path).await.expect(200);
        let list = ids(page["executions"].as_array().unwrap());
        assert!(list.len() <= 3, "{page}");
        seen.extend(list);
        run_all(&agent, &["pass"]).await;
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
        assert!(seen.len() <= 20, "pages without end");
    }
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn status_and_profile_filter_alone_and_together() {
    let server = Launch::new().arg("--max-running", "1").start();
    let admin = server.admin().await;
    let (one, two) = (ready_profile(&server, &[]).await, ready_profile(&server, &[]).await);
    let good = run_all(&one, &["pass", "set_result(1)"]).await;
    let bad = run_all(&one, &["1/0"]).await;
    let late = two.run_for("import time\ntime.sleep(600)", 1).await;
    let late = vec![text(&late, "execution_id").to_owned()];
    let running = vec![two.submit("import time\ntime.sleep(600)").await];
    two.started(&running[0]).await;
    let pending = vec![one.submit("pass").await];

    let (first, second) = (&one.id, &two.id);
    let cases = [
        ("status=completed".to_owned(), &good),
        ("status=error".to_owned(), &bad),
        ("status=timeout".to_owned(), &late),
        ("status=running".to_owned(), &running),
        ("status=pending".to_owned(), &pending),
        (format!("profile_id={first}&status=completed"), &good),
        (format!("status=error&profile_id={first}"), &bad),
        (format!("profile_id={second}&status=timeout"), &late),
    ];
    for (filter, expected) in cases {
        assert_eq!(&ids(&admin.executions(&filter).await), expected, "{filter}");
        // One at a time, too: a filter must hold across pages.
        assert_eq!(&ids(&admin.executions(&format!("{filter}&limit=1")).await), expected, "{filter}");
    }
    for empty in
        [format!("profile_id={second}&status=completed"), "status=cancelled".into(), "status=awaiting_llm".into()]
    {
        assert!(admin.executions(&empty).await.is_empty(), "{empty}");
    }
    let all: BTreeSet<String> = ids(&admin.executions("").await).into_iter().collect();
    let expected: BTreeSet<String> = [good, bad, late, running, pending].concat().into_iter().collect();
    assert_eq!(all, expected);
}

#[tokio::test]
async fn a_page_has_an_upper_bound_and_garbage_is_named() {
    let admin = shared().await.admin().await;
    for (query, word) in [
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=abc", "limit"),
        ("limit=", "limit"),
        ("limit=1.5", "limit"),
        ("limit=99999999999999999999999", "limit"),
        ("status=done", "status"),
        ("status=", "status"),
        ("status=COMPLETED", "status"),
        ("cursor=garbage", "cursor"),
        ("cursor=%00%FF", "cursor"),
        ("profile_id=garbage", "profile_id"),
    ] {
        admin.get(&format!("/executions?{query}")).await.problem_naming(422, word);
    }
    admin.get("/executions?limit=1").await.expect(200);
    let reply = admin.get("/executions?limit=1000000").await;
    if reply.status == 200 {
        assert!(reply.expect(200)["executions"].as_array().unwrap().len() <= 1000, "a page of any size");
    } else {
        reply.problem_naming(422, "limit");
    }
    let nobody = admin.get("/executions?profile_id=ark_000000000000000000000000").await.expect(200);
    assert_eq!(nobody, json!({"executions": []}));
}

#[tokio::test]
async fn the_detail_is_the_agents_view_and_what_only_the_administrator_sees() {
    let server = shared().await;
    let admin = server.admin().await;
    let agent = ready_profile(server, &[("DETAIL_TOKEN", "detail-token-of-this-test")]).await;
    let script =
        "print(settings['DETAIL_TOKEN'], settings['DETAIL_TOKEN'])\nset_result({'t': settings['DETAIL_TOKEN']})";
    let seen = agent.run(script).await;
    let detail = admin.execution(text(&seen, "execution_id")).await;
    for (member, value) in seen.as_object().unwrap() {
        assert_eq!(&detail[member], value, "{member}");
    }
    assert_eq!(detail["script"], script);
    for hidden in ["script", "redactions", "suspicious"] {
        assert!(detail.get(hidden).is_some(), "{hidden}: {detail}");
        assert!(seen.get(hidden).is_none(), "{hidden}: {seen}");
    }
    let count = |field: &str| {
        let all = detail["redactions"].as_array().unwrap().iter();
        let here = all.filter(|r| r["field"] == field && r["credential"] == "DETAIL_TOKEN" && r["form"].is_string());
        here.map(|redaction| redaction["count"].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!((count("stdout"), count("result"), count("stderr")), (2, 1, 0), "{detail}");
    assert!(!detail.to_string().contains("detail-token-of-this-test"));
}

#[tokio::test]
async fn what_is_read_while_it_is_deleted_is_whole_or_not_there() {
    let server = shared().await;
    let (admin, agent) = (server.admin().await, shared_agent().await);
    let (mut whole, mut gone) = (0, 0);
    for round in 0..150 {
        let id = text(&agent.run("set_result('all of it')").await, "execution_id").to_owned();
        let path = format!("/executions/{id}");
        let read = async || agent.client().get(&path).await;
        let (deleted, first, detail, second) = tokio::join!(admin.delete(&path), read(), admin.get(&path), read());
        deleted.success();
        for reply in [first, detail, second] {
            match reply.status {
                200 => assert_eq!(reply.json()["result"], "all of it", "round {round}"),
                _ => drop(reply.problem(404)),
            }
            whole += usize::from(reply.status == 200);
            gone += usize::from(reply.status == 404);
        }
    }
    assert!(whole > 0 && gone > 0, "{whole} whole, {gone} gone: they did not race");
}

#[tokio::test]
async fn executions_that_are_none_are_404() {
    let admin = shared().await.admin().await;
    for odd in ["exec_000000000000000000000000000000000000", "x", "%00", "%FF", "exec_%2F", "..%2Fprofiles"] {
        admin.get(&format!("/executions/{odd}")).await.problem_of(&[400, 404]);
    }
}

#[tokio::test]
async fn running_a_script_marks_the_profile_as_used() {
    let server = shared().await;
    let agent = ready_profile(server, &[]).await;
    let path = format!("/profiles/{}", agent.id);
    assert!(server.client().get(&path).await.expect(200)["last_used_at"].is_null());
    let done = agent.run("pass").await;
    let used = server.client().get(&path).await.expect(200);
    let gap = crate::support::time(&used, "last_used_at").duration_since(crate::support::time(&done, "created_at"));
    assert!(gap.as_secs().abs() < 60, "{used}");
}
