//! The script's world: settings, modules, where it runs, and that nothing is left for the next script.

use serde_json::json;

use crate::support::{ready_profile, shared, shared_agent, text};

#[tokio::test]
async fn settings_hold_the_profiles_credentials_and_nothing_else() {
    let agent = shared_agent().await;
    let script = "set_result([sorted(settings.keys()), settings.get('CITY') is not None, settings.get('NOPE'), settings.get('NOPE', 7), settings['PLANET'][:6]])";
    assert_eq!(agent.result(script).await, json!([["CITY", "PLANET"], true, null, 7, "planet"]));
}

#[tokio::test]
async fn a_missing_setting_names_those_there_are() {
    let done = shared_agent().await.failure("print('before')\nsettings['CTIY']", "KeyError").await;
    for word in ["CTIY", "CITY", "PLANET", "(line 2)"] {
        assert!(text(&done, "error").contains(word), "{word}: {done}");
    }
}

#[tokio::test]
async fn a_profile_without_credentials_has_empty_settings() {
    let agent = ready_profile(shared().await, &[]).await;
    assert_eq!(agent.result("set_result(list(settings.keys()))").await, json!([]));
}

#[tokio::test]
async fn import_airlock_gives_the_same_names() {
    let agent = shared_agent().await;
    let script = "import airlock\nfrom airlock import settings as s, set_result as r, llm as l\nr([airlock.settings.get('PLANET') == s['PLANET'] == settings['PLANET'], airlock.set_result is set_result, l is llm])";
    assert_eq!(agent.result(script).await, json!([true, true, true]));
}

#[tokio::test]
async fn a_script_is_the_main_module() {
    let script = "class Thing:\n    pass\nif __name__ == '__main__':\n    import __main__\n    set_result([__main__.Thing is Thing, Thing.__module__])";
    assert_eq!(shared_agent().await.result(script).await, json!([true, "__main__"]));
}

#[tokio::test]
async fn the_standard_library_is_there() {
    let modules = "json, asyncio, ssl, sqlite3, decimal, datetime, zoneinfo, csv, hashlib, urllib.request, http.client, email, xml.etree.ElementTree, ctypes, subprocess, multiprocessing, uuid, statistics, zlib, lzma, bz2, encodings.idna";
    let script = format!(
        "import {modules}\ndb = sqlite3.connect(':memory:')\nset_result([db.execute('select 40 + 2').fetchone()[0], str(decimal.Decimal('0.1') + 2)])"
    );
    assert_eq!(shared_agent().await.result(&script).await, json!([42, "2.1"]));
}

#[tokio::test]
async fn the_same_script_gives_the_same_answer() {
    let agent = shared_agent().await;
    let script = "import time, locale, sys\nset_result([hash('a word'), list({'x', 'y', 'zz', 'w'}), time.tzname[0], sys.getfilesystemencoding(), time.timezone])";
    let first = agent.result(script).await;
    assert_eq!(agent.result(script).await, first);
    assert_eq!((&first[2], &first[3], &first[4]), (&json!("UTC"), &json!("utf-8"), &json!(0)));
}

#[tokio::test]
async fn randomness_differs_from_run_to_run() {
    let agent = shared_agent().await;
    let script = "import random, os, uuid, secrets, ssl\nset_result([random.random(), os.urandom(8).hex(), str(uuid.uuid4()), secrets.token_hex(8), ssl.RAND_bytes(8).hex()])";
    let (first, second) = (agent.result(script).await, agent.result(script).await);
    for kind in 0..5 {
        assert_ne!(first[kind], second[kind], "source {kind}");
    }
}

#[tokio::test]
async fn nothing_a_script_does_to_its_interpreter_reaches_the_next_one() {
    let agent = shared_agent().await;
    let soil = "import builtins, os, sys, json, airlock\nbuiltins.leftover = 1\nos.environ['LEFTOVER'] = '1'\nsys.path.insert(0, '/leftover')\njson.dumps = None\nairlock.leftover = 1\nprint = None\nsys.modules['leftover'] = sys\nos.umask(0o777)\nset_result('soiled')";
    assert_eq!(agent.result(soil).await, "soiled");
    let look = "import builtins, os, sys, json, airlock\nset_result([hasattr(builtins, 'leftover'), 'LEFTOVER' in os.environ, '/leftover' in sys.path, json.dumps is None, hasattr(airlock, 'leftover'), 'leftover' in sys.modules, os.umask(0) == 0o777])";
    assert_eq!(agent.result(look).await, json!(vec![false; 7]));
}

#[tokio::test]
async fn a_script_has_a_folder_of_its_own_that_goes_with_it() {
    let agent = shared_agent().await;
    let write = "import os, tempfile\nopen('mine.txt', 'w').write('x' * 1000)\nwith tempfile.NamedTemporaryFile('w', delete=False) as f:\n    f.write('y')\nset_result([os.getcwd(), f.name, sorted(os.listdir('.'))])";
    let made = agent.result(write).await;
    assert!(made[2].as_array().unwrap().contains(&json!("mine.txt")), "{made}");
    let look = format!(
        "import os\nset_result([os.path.exists('mine.txt'), os.path.exists({} + '/mine.txt'), os.path.exists({})])",
        made[0], made[1]
    );
    assert_eq!(agent.result(&look).await, json!([false, false, false]));
    assert!(!std::path::Path::new(made[0].as_str().unwrap()).join("mine.txt").exists());
}

#[tokio::test]
async fn the_environment_holds_no_setting_and_nothing_of_the_servers() {
    let script = "import os\nset_result([sorted(k for k in os.environ if 'AIRLOCK' in k or 'CARGO' in k), any(settings['PLANET'] in v for v in os.environ.values())])";
    assert_eq!(shared_agent().await.result(script).await, json!([[], false]));
}

#[tokio::test]
async fn two_scripts_of_one_profile_run_side_by_side() {
    let agent = shared_agent().await;
    let first = agent.submit("import time\ntime.sleep(0.4)\nset_result('slow')").await;
    let second = agent.submit("set_result('fast')").await;
    let (slow, fast) = (agent.finish(&first).await, agent.finish(&second).await);
    assert_eq!((&slow["result"], &fast["result"]), (&json!("slow"), &json!("fast")));
    let ended = |done| crate::support::time(done, "completed_at");
    assert!(ended(&fast) < ended(&slow), "the fast one waited for the slow one");
}
