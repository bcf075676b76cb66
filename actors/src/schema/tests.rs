//! Schemas and answers, ordinary and hostile.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Misfit, check, judge};

fn fits(schema: &Value, answer: &Value) -> Result<(), Misfit> {
    let schema = schema.to_string();
    check(&schema).expect("a schema");
    judge(&schema, &answer.to_string())
}

#[track_caller]
fn cases(schema: &Value, good: &[Value], bad: &[Value]) {
    for answer in good {
        assert_eq!(fits(schema, answer), Ok(()), "{answer}");
    }
    for answer in bad {
        assert!(fits(schema, answer).is_err(), "{answer} fits {schema}");
    }
}

#[test]
fn every_keyword_takes_what_fits_and_nothing_else() {
    cases(&json!({"type": "integer"}), &[json!(1), json!(-3), json!(2.0)], &[json!(1.5), json!("1"), json!(true)]);
    cases(&json!({"type": ["null", "string"]}), &[json!(null), json!("")], &[json!(0), json!([])]);
    cases(&json!({"enum": [1, "a", [2]]}), &[json!(1.0), json!("a"), json!([2.0])], &[json!("b"), json!([])]);
    cases(&json!({"const": {"a": 1}}), &[json!({"a": 1.0})], &[json!({}), json!({"a": 1, "b": 2})]);
    cases(&json!({"minimum": 1, "exclusiveMaximum": 3}), &[json!(1), json!(2.9), json!("0")], &[json!(0.9), json!(3)]);
    cases(&json!({"exclusiveMinimum": 1, "maximum": 3}), &[json!(1.1), json!(3)], &[json!(1), json!(3.1)]);
    cases(&json!({"multipleOf": 0.1}), &[json!(0.3), json!(7)], &[json!(0.35)]);
    cases(
        &json!({"minLength": 2, "maxLength": 3}),
        &[json!("éé"), json!("abc"), json!(5)],
        &[json!("a"), json!("abcd")],
    );
    cases(&json!({"pattern": "^a+$"}), &[json!("aa"), json!(1)], &[json!("ab"), json!("")]);
    cases(&json!({"minItems": 1, "maxItems": 2}), &[json!([1]), json!([1, 2])], &[json!([]), json!([1, 2, 3])]);
    cases(&json!({"uniqueItems": true}), &[json!([1, "1", [1]])], &[json!([1, 2, 1.0])]);
    cases(
        &json!({"prefixItems": [{"type": "string"}], "items": {"type": "integer"}}),
        &[json!([]), json!(["a", 1, 2])],
        &[json!([1]), json!(["a", "b"])],
    );
    cases(
        &json!({"contains": {"const": 1}, "minContains": 2, "maxContains": 3}),
        &[json!([1, 0, 1]), json!([1, 1, 1])],
        &[json!([1]), json!([1, 1, 1, 1])],
    );
    cases(&json!({"required": ["a"]}), &[json!({"a": null}), json!([])], &[json!({"b": 1})]);
    cases(&json!({"minProperties": 1, "maxProperties": 1}), &[json!({"a": 1})], &[json!({}), json!({"a": 1, "b": 1})]);
    cases(
        &json!({"properties": {"a": {"type": "string"}}, "patternProperties": {"^x": true}, "additionalProperties": false}),
        &[json!({"a": "", "xy": 1}), json!({})],
        &[json!({"a": 1}), json!({"b": 1})],
    );
    cases(&json!({"propertyNames": {"maxLength": 1}}), &[json!({"a": 1})], &[json!({"ab": 1})]);
    cases(&json!({"dependentRequired": {"a": ["b"]}}), &[json!({"b": 1}), json!({"a": 1, "b": 1})], &[json!({"a": 1})]);
    cases(&json!({"dependentSchemas": {"a": {"required": ["b"]}}}), &[json!({})], &[json!({"a": 1})]);
    cases(&json!({"allOf": [{"minimum": 1}, {"maximum": 2}]}), &[json!(1)], &[json!(0), json!(3)]);
    cases(&json!({"anyOf": [{"const": 1}, {"const": 2}]}), &[json!(1), json!(2)], &[json!(3)]);
    cases(&json!({"oneOf": [{"minimum": 1}, {"minimum": 2}]}), &[json!(1)], &[json!(0), json!(2)]);
    cases(&json!({"not": {"type": "string"}}), &[json!(1)], &[json!("a")]);
    cases(
        &json!({"if": {"type": "string"}, "then": {"minLength": 1}, "else": {"const": 0}}),
        &[json!("a"), json!(0)],
        &[json!(""), json!(1)],
    );
    cases(
        &json!({"$defs": {"tree": {"type": "object", "properties": {"kids": {"items": {"$ref": "#/$defs/tree"}}}}}, "$ref": "#/$defs/tree"}),
        &[json!({"kids": [{"kids": []}]})],
        &[json!({"kids": [{"kids": [1]}]})],
    );
    cases(&json!(true), &[json!(1)], &[]);
    cases(&json!(false), &[], &[json!(1)]);
}

#[test]
fn a_misfit_says_where_and_why_and_nothing_of_the_answer() {
    let schema =
        json!({"type": "object", "properties": {"rows": {"items": {"properties": {"a/b": {"type": "integer"}}}}}});
    let misfit = fits(&schema, &json!({"rows": [{"a/b": 1}, {"a/b": "hunter2"}]})).expect_err("does not fit");
    let problem = "must be of type \"integer\"".to_owned();
    assert_eq!(misfit, Misfit { at: "/rows/1/a~1b".to_owned(), problem });
    let misfit = judge("{}", "{\"a\": hunter2}").expect_err("is no JSON");
    assert_eq!(misfit.problem, "must be JSON: it breaks off or goes wrong at line 1, column 7");
}

#[test]
fn what_is_not_understood_is_refused_by_name() {
    for schema in [
        json!({"unevaluatedProperties": false}),
        json!({"$dynamicRef": "#x"}),
        json!({"properties": {"a": {"minimun": 1}}}),
        json!({"$ref": "https://example.com/schema.json"}),
        json!({"$ref": "#/$defs/nothing"}),
        json!({"type": "text"}),
        json!({"pattern": "(?=a)"}),
        json!({"pattern": "a{1000}{1000}{1000}"}),
        json!({"multipleOf": 0}),
        json!({"minItems": -1}),
        json!({"anyOf": []}),
        json!(1),
        json!({"properties": []}),
    ] {
        let problem = check(&schema.to_string()).expect_err("is refused");
        assert!(problem.starts_with("at #"), "{problem}");
    }
    assert!(check("{").is_err());
}

/// SC-2
#[test]
fn hostile_schemas_end_with_an_error_and_soon() {
    let long = Value::String("a".repeat(1_000_000));
    let many = Value::Array(vec![json!("x".repeat(100)); 5_000]);
    let mut doubling = json!({"const": 1});
    for _ in 0..40 {
        doubling = json!({"not": {"not": doubling}});
    }
    for (schema, answer) in [
        (json!({"$ref": "#"}), json!(1)),
        (json!({"allOf": [{"$ref": "#"}, {"$ref": "#"}]}), json!(1)),
        (json!({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}), json!(1)),
        (json!({"not": {"$ref": "#"}}), json!(1)),
        (json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}), json!(1)),
        (json!({"uniqueItems": true}), many),
        (json!({"items": {"anyOf": vec![json!({"pattern": "(a|aa)+$b"}); 500]}}), Value::Array(vec![long; 1])),
    ] {
        assert!(fits(&schema, &answer).is_err(), "{schema}");
    }
    assert_eq!(fits(&doubling, &json!(1)), Ok(()));
}

proptest! {
    #[test]
    fn judging_ends_whatever_is_judged(schema in any_schema(), answer in any_json()) {
        let schema = schema.to_string();
        if check(&schema).is_ok() {
            let _ = judge(&schema, &answer.to_string());
        }
    }

    #[test]
    fn a_const_takes_itself(value in any_json()) {
        prop_assert_eq!(fits(&json!({"const": value}), &value), Ok(()));
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-c]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-c]", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn any_schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(true)),
        Just(json!({"$ref": "#"})),
        Just(json!({"type": "string", "pattern": "^a"})),
        Just(json!({"minimum": 3})),
        any_json().prop_map(|value| json!({"const": value})),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..3).prop_map(|all| json!({"anyOf": all})),
            proptest::collection::vec(inner.clone(), 1..3).prop_map(|all| json!({"oneOf": all, "uniqueItems": true})),
            inner.clone().prop_map(|one| json!({"items": one})),
            inner.clone().prop_map(|one| json!({"properties": {"a": one}, "additionalProperties": false})),
            (inner.clone(), inner).prop_map(|(one, other)| json!({"if": one, "then": other})),
        ]
    })
}
