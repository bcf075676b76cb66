//! What must not leave does not: literal values in every field that an agent sees.

use serde_json::{Value, json};

use crate::support::{ready_profile, shared, text};

fn free_of(done: &Value, pieces: &[&str]) {
    let shown = done.to_string();
    for piece in pieces {
        assert!(!shown.contains(piece), "{piece:?} came out: {shown}");
    }
}

#[tokio::test]
async fn a_value_is_scrubbed_from_every_field_and_what_is_around_it_stays() {
    let agent = ready_profile(shared().await, &[("RED_EVERYWHERE", "hunter2-of-every-field")]).await;
    let script = "import sys\ns = settings['RED_EVERYWHERE']\nprint(f'<{s}> and <{s}>')\nprint(f'[{s}]', file=sys.stderr)\nset_result({'plain': s, 'inside': f'a {s} b', s: 1, f'k-{s}-k': [s, {'deep': (s,)}], 'untouched': 'other'})";
    let done = agent.run(script).await;
    assert_eq!(done["status"], "completed", "{done}");
    free_of(&done, &["hunter2-of-every-field"]);
    let out = text(&done, "stdout");
    assert!(out.starts_with('<') && out.contains("> and <") && out.ends_with(">\n") && out.len() > 12, "{out}");
    let err = text(&done, "stderr");
    assert!(err.starts_with('[') && err.ends_with("]\n") && err.len() > 3, "{err}");
    let result = &done["result"];
    assert_eq!(result["untouched"], "other");
    assert!(text(result, "inside").starts_with("a ") && text(result, "inside").ends_with(" b"), "{result}");
    assert_eq!(result.as_object().unwrap().len(), 5, "no member may swallow another: {result}");
    assert!(result.as_object().unwrap().keys().any(|key| key.starts_with("k-") && key.ends_with("-k")), "{result}");
}

#[tokio::test]
async fn a_value_is_scrubbed_from_error_kind_and_traceback() {
    let agent = ready_profile(shared().await, &[("RED_ERRORS", "hunter2ofeveryerror")]).await;
    let scripts = [
        "raise ValueError('login with ' + settings['RED_ERRORS'] + ' failed')",
        "try:\n    raise KeyError(settings['RED_ERRORS'])\nexcept KeyError as cause:\n    raise RuntimeError('later') from cause",
        "raise type(settings['RED_ERRORS'], (Exception,), {})('named so')",
        "import sys\nsys.exit(settings['RED_ERRORS'])",
        "exec(compile('def ' + settings['RED_ERRORS'] + '():\\n    1/0\\n' + settings['RED_ERRORS'] + '()', '<script>', 'exec'))",
        "compile(settings['RED_ERRORS'] + ' = = 1', settings['RED_ERRORS'], 'exec')",
        "set_result({settings['RED_ERRORS']: {1, 2}})",
        "import traceback\ntry:\n    open('/' + settings['RED_ERRORS'])\nexcept OSError:\n    traceback.print_exc()\n    raise",
        "error = ValueError('noted')\nerror.__notes__ = [settings['RED_ERRORS']]\nraise error",
        "{}[settings['RED_ERRORS']]",
    ];
    for script in scripts {
        let done = agent.run(script).await;
        assert_eq!(done["status"], "error", "{script}: {done}");
        free_of(&done, &["hunter2ofeveryerror"]);
    }
    let done = agent.run(scripts[0]).await;
    let error = text(&done, "error");
    assert!(error.starts_with("ValueError: login with ") && error.ends_with(" failed (line 1)"), "{error}");
}

#[tokio::test]
async fn of_two_values_one_inside_the_other_nothing_is_left() {
    let values =
        [("RED_SHORT", "prefix-secret"), ("RED_LONG", "prefix-secret-and-a-tail"), ("RED_INNER", "secret-and-a")];
    let agent = ready_profile(shared().await, &values).await;
    let script = "for name in sorted(settings.keys()):\n    print('<' + settings[name] + '>')\nset_result([settings[n] for n in sorted(settings.keys())])";
    let done = agent.run(script).await;
    assert_eq!(done["status"], "completed", "{done}");
    free_of(&done, &["prefix-secret", "secret-and-a", "-and-a-tail", "-tail", "prefix-"]);
}

#[tokio::test]
async fn of_two_values_that_overlap_nothing_is_left() {
    let agent =
        ready_profile(shared().await, &[("RED_LEFT", "alpha-beta-gamma"), ("RED_RIGHT", "gamma-delta-omega")]).await;
    let done = agent
        .run("print('<alpha-beta-' + settings['RED_RIGHT'] + '>')\nset_result(settings['RED_LEFT'] + '-delta-omega')")
        .await;
    assert_eq!(done["status"], "completed", "{done}");
    free_of(&done, &["alpha-beta", "delta-omega", "gamma"]);
    assert!(text(&done, "stdout").starts_with('<') && text(&done, "stdout").ends_with(">\n"));
}

#[tokio::test]
async fn a_value_that_overlaps_itself_leaves_nothing() {
    let agent = ready_profile(shared().await, &[("RED_SELF", "abcabcabcabc")]).await;
    let done = agent.run("print('<' + settings['RED_SELF'] + 'abc' + '>')").await;
    assert_eq!(done["status"], "completed", "{done}");
    assert!(!text(&done, "stdout").contains("abc"), "{done}");
}

#[tokio::test]
async fn a_value_that_arrives_in_pieces_is_still_the_value() {
    let agent = ready_profile(shared().await, &[("RED_PIECES", "piece-by-piece-by-piece")]).await;
    let script = "import os, sys, time\nfor fd in (1, 2):\n    for letter in settings['RED_PIECES']:\n        os.write(fd, letter.encode())\n        time.sleep(0.002)\nprint()\nhalf = len(settings['RED_PIECES']) // 2\nsys.stdout.write(settings['RED_PIECES'][:half])\nsys.stdout.flush()\ntime.sleep(0.2)\nsys.stdout.write(settings['RED_PIECES'][half:])";
    let done = agent.run(script).await;
    assert_eq!(done["status"], "completed", "{done}");
    free_of(&done, &["piece-by"]);
}

#[tokio::test]
async fn where_a_flood_is_cut_no_piece_of_a_value_is_left() {
    let agent = ready_profile(shared().await, &[("RED_FLOOD", "Qz7-flooded-secret-9Yk")]).await;
    // Values back to back, and values at every offset: wherever head and tail are cut, they cut one.
    for script in ["print(settings['RED_FLOOD'] * 100_000)", "print('.'.join([settings['RED_FLOOD']] * 100_000) + '!')"]
    {
        let done = agent.run(script).await;
        assert_eq!(done["status"], "completed", "{}", done["error"]);
        let out = text(&done, "stdout");
        for piece in ["Qz7-floo", "flooded", "oded-sec", "secret", "cret-9Yk"] {
            let at = out.find(piece);
            assert!(at.is_none(), "{piece:?} at byte {at:?} of {}", out.len());
        }
    }
}

#[tokio::test]
async fn values_of_many_lines_and_other_alphabets_are_scrubbed() {
    let values = [
        ("RED_LINES", "-----BEGIN-----\nfirst-line-0123\nsecond-line-4567\n-----END-----"),
        ("RED_UNICODE", "пароль-密码-pässwörd-🔑"),
        ("RED_QUOTES", "qu\"ote\\back'slash\tand-tab"),
    ];
    let agent = ready_profile(shared().await, &values).await;
    let script = "import sys\nfor name in settings.keys():\n    print('<', settings[name], '>')\n    print(settings[name], file=sys.stderr)\nset_result({settings[n]: settings[n] for n in settings.keys()})";
    let done = agent.run(script).await;
    assert_eq!(done["status"], "completed", "{done}");
    free_of(&done, &["first-line-0123", "second-line", "пароль", "密码", "pässwörd", "ote\\", "and-tab"]);
    assert_eq!(done["result"].as_object().unwrap().len(), 3, "no member may swallow another: {done}");
}

#[tokio::test]
async fn plain_configuration_is_not_scrubbed() {
    let server = shared().await;
    let admin = server.admin().await;
    admin
        .post("/credentials", &json!({"name": "RED_HOST", "value": "db.internal.example", "secret": false}))
        .await
        .expect(201);
    admin.create_credential("RED_BESIDE_HOST", "a-real-secret-beside").await;
    let agent = admin.locked_profile(&["RED_HOST", "RED_BESIDE_HOST"]).await;
    let done =
        agent.run("print(settings['RED_HOST'], settings['RED_BESIDE_HOST'])\nset_result(settings['RED_HOST'])").await;
    assert!(text(&done, "stdout").starts_with("db.internal.example "), "{done}");
    assert_eq!(done["result"], "db.internal.example");
    free_of(&done, &["a-real-secret-beside"]);
}

#[tokio::test]
async fn another_profiles_values_are_none_of_this_ones_business() {
    let server = shared().await;
    ready_profile(server, &[("RED_OF_ANOTHER", "value-of-another-profile")]).await;
    let agent = ready_profile(server, &[("RED_OF_MINE", "value-of-my-profile")]).await;
    // Text that happens to be someone else's secret: scrubbing it would tell that it is one.
    assert_eq!(agent.result("set_result('value-of-another-' + 'profile')").await, "value-of-another-profile");
}

#[tokio::test]
async fn output_kept_at_a_timeout_is_scrubbed_as_well() {
    let agent = ready_profile(shared().await, &[("RED_LATE", "late-but-still-secret")]).await;
    let done = agent.run_for("import time\nprint('x', settings['RED_LATE'], flush=True)\ntime.sleep(600)", 1).await;
    assert_eq!(done["status"], "timeout", "{done}");
    assert!(text(&done, "stdout").starts_with("x "), "{done}");
    free_of(&done, &["late-but-still-secret"]);
}
