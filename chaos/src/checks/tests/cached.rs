use std::time::Duration;

use serde_json::json;

use super::finds;
use crate::{
    checks::scene::{PRODUCT, Scene, entry},
    journal::{Outcome, What},
    ledger::Outage,
    plan::Kind,
    story::LogLine,
};

const CURRENT: &str = "while Redis answers";
const BOUNDED: &str = "whatever Redis does";

fn is_kept(scene: &Scene, promise: &str) -> bool {
    !scene.broken().iter().any(|(broken, _)| broken.contains(promise))
}

/// Redis fails for a moment.
fn fails(scene: &mut Scene) {
    let (from, to) = (scene.now(), scene.now());
    scene.outages.push(Outage { kind: Kind::Cache, how: "flushed".to_owned(), from, to });
}

#[test]
fn a_read_of_less_than_what_was_answered_before_is_found() {
    finds(CURRENT, |scene| scene.read(1));
    let not_modified = |tag: &str| {
        let (etag, body) = (Some(tag.to_owned()), json!(null));
        Outcome::Answer { status: 304, etag, body, request_id: None }
    };
    let what = What::ReadProduct { product_id: PRODUCT.to_owned() };
    finds(CURRENT, |scene| scene.attempt(what.clone(), not_modified("\"1\"")));
    let mut scene = Scene::new();
    scene.attempt(what.clone(), not_modified("\"2\""));
    // Of what an order did to it, nobody was told yet.
    scene.read(2);
    scene.answer(what.clone(), 503, json!(null));
    assert!(is_kept(&scene, CURRENT) && is_kept(&scene, BOUNDED));
}

#[test]
fn each_kind_of_write_is_known() {
    let product_id = PRODUCT.to_owned();
    let version = |version: i64| json!({ "product_id": PRODUCT, "version": version });
    for (what, status, body) in [
        (What::EditProduct { product_id: product_id.clone() }, 200, version(9)),
        (What::DeleteProduct { product_id: product_id.clone() }, 204, json!(null)),
        (What::CreateProduct { stock: 1 }, 201, version(9)),
    ] {
        finds(CURRENT, |scene| {
            scene.answer(what, status, body);
            scene.read(8);
        });
    }
}

#[test]
fn a_read_that_began_before_the_write_was_answered_may_be_older() {
    let mut scene = Scene::new();
    scene.read(2);
    scene.answer(scene.stock_change(1, "key-2"), 200, json!({ "product_id": PRODUCT, "version": 6 }));
    assert!(is_kept(&scene, CURRENT));
}

#[test]
fn for_some_time_after_a_failure_a_read_may_be_older() {
    let mut scene = Scene::new();
    fails(&mut scene);
    scene.read(1);
    assert!(is_kept(&scene, CURRENT) && is_kept(&scene, BOUNDED));
    // The entries of that time are gone by then.
    finds(CURRENT, |scene| {
        fails(scene);
        scene.wait(100);
        scene.read(1);
    });
    // It is the database that failed.
    finds(CURRENT, |scene| {
        fails(scene);
        scene.outages[0].kind = Kind::Database;
        scene.read(1);
    });
}

#[test]
fn a_function_that_leaves_the_cache_alone_excuses_it_too() {
    let logged = |text: &str| {
        let mut scene = Scene::new();
        let at =
            i64::try_from(scene.now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()).unwrap();
        scene.log.push(LogLine { at, function: "product-service".to_owned(), text: text.to_owned() });
        scene.read(1);
        is_kept(&scene, CURRENT)
    };
    assert!(logged(&format!("{{\"message\":\"{}\"}}", crate::checks::CACHE_FAILED)));
    assert!(!logged("something else"));
}

#[test]
fn a_read_that_is_older_than_an_entry_gets_is_found_whatever_happened() {
    finds(BOUNDED, |scene| {
        scene.wait(50);
        fails(scene);
        scene.read(1);
    });
}

#[test]
fn an_entry_of_somebody_else_or_without_an_end_is_found() {
    let promise = "every entry of the cache";
    finds(promise, |scene| scene.cache.push(entry("prod:products:v1:product:1", "{}")));
    finds(promise, |scene| scene.cache[0].expires_in = None);
    finds(promise, |scene| scene.cache[0].expires_in = Some(Duration::from_secs(3600)));
}

#[test]
fn what_the_shop_shows_in_the_end_and_is_not_so_is_found() {
    let product = "each product is shown";
    finds(product, |scene| scene.visit.products.get_mut(PRODUCT).unwrap().1["stock"] = 14.into());
    finds(product, |scene| scene.visit.products.get_mut(PRODUCT).unwrap().0 = 404);
    finds(product, |scene| scene.visit.products.clear());
    finds(product, |scene| scene.remove("products", PRODUCT));

    let list = "each list is shown";
    finds(list, |scene| scene.visit.lists.get_mut(&None).unwrap().clear());
    finds(list, |scene| {
        let shown = scene.visit.lists.get_mut(&None).unwrap();
        shown.push(shown[0].clone());
    });
    finds(list, |scene| scene.visit.lists.get_mut(&None).unwrap()[0]["version"] = 4.into());
    finds(list, |scene| scene.last("products", PRODUCT)["category"] = "garden".into());
}
