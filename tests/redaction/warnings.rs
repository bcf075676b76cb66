//! What a person is told of a value that redacts badly.

use serde_json::{Value, json};

use crate::support::{Server, keys};

fn warnings(credential: &Value) -> Vec<&str> {
    let list = credential["warnings"].as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|warning| warning.as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_weak_value_warns_in_every_answer_and_a_good_or_plain_one_does_not() {
    let server = Server::start();
    let admin = server.admin().await;
    for (name, value, says) in [
        ("SHORT", "hK3x9Qz", "fewer than 8"),
        ("NUMBER", "54321", "short number"),
        ("COMMON", "localhost", "common word"),
        ("WORD", "kangaroos", "one word"),
    ] {
        let made = admin.post("/credentials", &json!({"name": name, "value": value})).await.expect(201);
        assert!(warnings(&made).len() == 1 && warnings(&made)[0].contains(says), "{made}");
        assert!(!made.to_string().contains(value), "the value is in the answer: {made}");
    }
    let good = admin.post("/credentials", &json!({"name": "GOOD", "value": "Zq8vT2mK4xW9pL6s"})).await.expect(201);
    assert!(!keys(&good).contains(&"warnings"), "{good}");
    // A change of another one makes it weak.
    admin.post("/credentials", &json!({"name": "URL", "value": "mysql://app:Zq8vT2mK4xW9pL6s@db"})).await.expect(201);
    let listed = admin.get("/credentials").await.expect(200);
    let of = |listed: &Value, name: &str| {
        listed["credentials"].as_array().unwrap().iter().find(|credential| credential["name"] == name).unwrap().clone()
    };
    let good = of(&listed, "GOOD");
    assert!(warnings(&good)[0].contains("contained in that of URL"), "{good}");
    assert_eq!(warnings(&of(&listed, "SHORT")).len(), 1);

    let plain = admin.put("/credentials/NUMBER", &json!({"secret": false})).await.expect(200);
    assert!(plain["secret"] == false && !keys(&plain).contains(&"warnings"), "{plain}");
    let longer = admin.put("/credentials/SHORT", &json!({"value": "hK3x9Qz7"})).await.expect(200);
    assert!(!keys(&longer).contains(&"warnings"), "{longer}");
    admin.delete("/credentials/URL").await.success();
    assert!(!keys(&of(&admin.get("/credentials").await.expect(200), "GOOD")).contains(&"warnings"));
    let slots = server.client().get("/credentials").await.expect(200);
    assert!(!slots.to_string().contains("warnings"), "agents are told nothing of values: {slots}");
}
