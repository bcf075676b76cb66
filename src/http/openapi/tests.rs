use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;

fn written() -> Value {
    document().expect("it is put together")
}

/// Every place in the document, with its path.
fn each<'a>(value: &'a Value, at: &str, look: &mut impl FnMut(&str, &'a Value)) {
    look(at, value);
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| each(value, &format!("{at}/{name}"), look)),
        Value::Array(items) => items.iter().enumerate().for_each(|(n, value)| each(value, &format!("{at}/{n}"), look)),
        _ => {}
    }
}

fn each_operation<'a>(document: &'a Value, mut look: impl FnMut(&'a str, &'a str, &'a Value)) {
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            look(path, method, operation);
        }
    }
}

#[test]
fn oa_1_a_route_is_in_the_document_exactly_when_it_is_served() {
    let served: BTreeSet<String> = crate::http::served().into_iter().collect();
    let mut described = BTreeSet::new();
    each_operation(&written(), |path, method, _| {
        assert!(described.insert(format!("{} {path}", method.to_ascii_uppercase())), "{path} is there twice");
    });
    assert_eq!(described, served);
}

#[test]
fn every_reference_leads_somewhere_and_everything_is_used() {
    let document = written();
    let mut used = BTreeSet::new();
    each(&document, "#", &mut |at, value| {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            let pointer = reference.strip_prefix('#').expect("into the document");
            assert!(document.pointer(pointer).is_some(), "{at}: {reference}");
            used.insert(reference.to_owned());
        }
        assert!(value.get("extends").is_none(), "{at} is not put together");
    });
    for kind in ["schemas", "parameters", "headers"] {
        for name in document["components"][kind].as_object().expect("components").keys() {
            // `Allow` is that of any path; what other schemas were made from is a shape all the same.
            let made_from = ["Allow", "Described"].contains(&name.as_str());
            assert!(made_from || used.contains(&format!("#/components/{kind}/{name}")), "{kind}/{name} is not used");
        }
    }
}

/// As `airlock_actors::schema` takes them: it knows every keyword that it judges by, and refuses all others.
#[test]
fn every_schema_is_one_and_every_example_fits_it() {
    let document = written();
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    let defs = Value::Object(schemas.clone()).to_string().replace("#/components/schemas/", "#/$defs/");
    let defs: Value = serde_json::from_str(&defs).expect("JSON");
    let mut examples = 0;
    for (name, schema) in schemas {
        let whole = serde_json::json!({ "$ref": format!("#/$defs/{name}"), "$defs": defs }).to_string();
        assert_eq!(airlock_actors::schema::check(&whole), Ok(()), "{name}");
        for example in schema["examples"].as_array().into_iter().flatten() {
            let judged = airlock_actors::schema::judge(&whole, &example.to_string());
            assert!(judged.is_ok(), "{name}: {example}: {judged:?}");
            examples += 1;
        }
    }
    assert!(examples >= 10, "{examples} examples");
}

#[test]
fn every_operation_says_all_that_one_needs() {
    let document = written();
    let components = &document["components"];
    let tags: Vec<&str> =
        document["tags"].as_array().expect("tags").iter().filter_map(|tag| tag["name"].as_str()).collect();
    let mut ids = BTreeMap::new();
    each_operation(&document, |path, method, operation| {
        let at = format!("{method} {path}");
        let id = operation["operationId"].as_str().expect("an id");
        assert_eq!(ids.insert(id, at.clone()), None, "{id} is there twice");
        assert!(operation["summary"].as_str().is_some_and(|summary| !summary.ends_with('.')), "{at}");
        assert!(
            operation["tags"].as_array().expect("tags").iter().all(|tag| tags.contains(&tag.as_str().expect("a tag")))
        );
        for scheme in operation["security"].as_array().expect("security").iter().filter_map(Value::as_object).flatten()
        {
            assert!(components["securitySchemes"].get(scheme.0).is_some(), "{at}: {}", scheme.0);
        }
        // A path's parameters are those in its braces.
        let named = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let parameters: Vec<&Value> = parameters
            .map(|parameter| document.pointer(&parameter["$ref"].as_str().expect("a reference")[1..]).expect("known"))
            .collect();
        let in_path =
            parameters.iter().filter(|parameter| parameter["in"] == "path").filter_map(|one| one["name"].as_str());
        assert_eq!(named.collect::<Vec<_>>(), in_path.collect::<Vec<_>>(), "{at}");
        let names: BTreeSet<_> =
            parameters.iter().map(|parameter| (parameter["in"].as_str(), parameter["name"].as_str())).collect();
        assert_eq!(names.len(), parameters.len(), "{at}: a parameter is there twice");
        let responses = operation["responses"].as_object().expect("responses");
        assert!(responses.keys().any(|status| status.starts_with('2')), "{at}");
        assert!(responses.contains_key("500"), "{at}");
        assert!(responses.values().all(|response| !response["description"].as_str().expect("text").is_empty()), "{at}");
    });
    assert!(ids.len() > 40, "{} operations", ids.len());
}
