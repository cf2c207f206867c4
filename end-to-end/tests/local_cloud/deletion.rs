//! After somebody has deleted their account, nothing personal of theirs is left, wherever one looks.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use domain_events::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::{
    client::{Client, PASSWORD, eventually},
    cloud,
    uploads::{Album, File},
};

/// Something personal: what it is, and a part of it that nobody else has.
type Mark = (&'static str, String);

/// A place where it might be, and what is there.
type Place = (String, String);

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn nothing_personal_outlives_an_account() {
    let (started, admin) = (Timestamp::now(), Client::admin());
    let marks = [
        "former e-mail address",
        "e-mail address",
        "former name",
        "name",
        "address",
        "former avatar",
        "avatar",
        "upload under way",
    ]
    .map(|what| (what, Uuid::new_v4().simple().to_string()));
    let [former_email, email, former_name, name, street, former_avatar, avatar, unsent] =
        marks.each_ref().map(|(_, mark)| mark.as_str());

    // An account with everything that one can have.
    let mut customer = Client::registered(&format!("O'Neill+{former_email}@Mail.Shop.Example"), former_name);
    let change = json!({
        "email": format!("O'Neill+{email}@Mail.Shop.Example"), "name": format!("Zo\u{eb} \u{1f41b} {name}"),
        "current_password": PASSWORD,
    });
    customer.email = customer.send("PATCH", "/api/users/me", &[], Some(&change)).expect(200)["email"]
        .as_str()
        .unwrap()
        .to_owned();
    let wrong = json!({ "email": customer.email, "password": "not the right password" });
    assert_eq!(customer.post("/api/users/login", &wrong).status, 401);
    customer.log_in();
    let album = Album::Avatar(&customer);
    for mark in [former_avatar, avatar] {
        album.show(&File::png().marked(mark));
    }
    let last = File::png().marked(unsent);
    let under_way = album.ask(&last);
    let product = admin.new_product(5);
    let [open, delivered] = [(); 2].map(|()| order(&customer, &product, name, street));
    for step in ["ship", "deliver"] {
        admin.post(&format!("/api/orders/{delivered}/{step}"), &json!({})).expect(200);
    }

    // What is not found now would not be found later either. In queues and logs there is only what nobody is known by.
    let request = customer.get("/api/users/me").header("x-request-id").unwrap().to_owned();
    let places = eventually("the log tells of the request", || {
        Some(everything(started))
            .filter(|places| places_of(&("request", request.clone()), places) == ["logs"])
    });
    assert!(places_of(&("user", customer.user_id.clone()), &places).contains(&"queues"));
    for mark in marks.iter().filter(|(what, _)| !what.starts_with("former") && *what != "upload under way") {
        assert_ne!(places_of(mark, &places), [] as [&str; 0], "{}", mark.0);
    }

    customer.send("DELETE", "/api/users/me", &[], None).expect(204);
    under_way.send(&last).expect(200);
    let path = format!("/api/orders/{open}");
    eventually("the open order is cancelled", || {
        (admin.get(&path).expect(200)["status"] == "CANCELLED").then_some(())
    });
    eventually("the address is gone", || (!cloud::everything_in("orders").contains(street)).then_some(()));
    album.empty();
    album.handled();

    let places = everything(started);
    let left: Vec<(&str, Vec<&str>)> = marks
        .iter()
        .map(|mark| (mark.0, places_of(mark, &places)))
        .filter(|(_, places)| !places.is_empty())
        .collect();
    assert!(left.is_empty(), "{left:#?}");
    let kept = admin.get(&format!("/api/orders/{delivered}")).expect(200);
    assert_eq!((&kept["status"], kept.get("shipping_address")), (&json!("DELIVERED"), None));
}

/// Has something sent home, and waits until that is confirmed.
fn order(customer: &Client, product: &str, name: &str, street: &str) -> String {
    let body = json!({
        "items": [{ "product_id": product, "quantity": 1 }],
        "shipping_address": {
            "name": format!("Zo\u{eb} {name}"), "line1": format!("{street} Stra\u{df}e 1"), "line2": "c/o O'Neill",
            "postal_code": "10001", "city": "\u{141}\u{f3}d\u{17a}", "country": "PL",
        },
    });
    let key = [("idempotency-key", Uuid::now_v7().to_string())];
    let order = customer.send("POST", "/api/orders", &key, Some(&body)).expect(201);
    let id = order["order_id"].as_str().unwrap().to_owned();
    assert_eq!(customer.settled(&id)["status"], json!("CONFIRMED"));
    id
}

/// Everything that the cloud holds and people may look at; not the secrets, which nothing of a request gets into.
fn everything(since: Timestamp) -> Vec<Place> {
    let mut places: Vec<Place> = ["users", "products", "orders"]
        .map(|table| (format!("table {table}"), cloud::everything_in(table)))
        .into();
    for bucket in ["user-avatars", "product-images"].map(cloud::bucket) {
        for version in cloud::versions(&bucket, "") {
            // Others of these tests erase what is theirs meanwhile.
            let object = (!version.is_deletion_marker).then(|| cloud::object(&bucket, &version)).flatten();
            let (bytes, about) = object.unwrap_or_default();
            let text = format!("{version:?}\n{about}\n{}", String::from_utf8_lossy(&bytes));
            places.push((format!("object {bucket}/{}", version.key), text));
        }
    }
    places.push(("queues".to_owned(), cloud::everything_in_queues()));
    places.push(("logs".to_owned(), cloud::everything_logged(since)));
    places
}

/// Where something is, in whichever case, or inside of something that is encoded in base64.
fn places_of<'a>((_, mark): &Mark, places: &'a [Place]) -> Vec<&'a str> {
    let encoded = in_base64(mark);
    let holds = |text: &str| {
        text.to_lowercase().contains(mark.as_str()) || encoded.iter().any(|form| text.contains(form.as_str()))
    };
    places.iter().filter(|(_, text)| holds(text)).map(|(place, _)| place.as_str()).collect()
}

/// The characters that are the same whatever is encoded before and behind it.
fn in_base64(mark: &str) -> [String; 3] {
    [0, 1, 2].map(|before| {
        let encoded = STANDARD_NO_PAD.encode([&[0; 2][..before], mark.as_bytes()].concat());
        encoded[(before * 8).div_ceil(6)..(before + mark.len()) * 8 / 6].to_owned()
    })
}

#[test]
fn what_is_encoded_is_found_wherever_it_begins() {
    let mark: Mark = ("mark", Uuid::new_v4().simple().to_string());
    for before in ["", "a", "ab", "abc"] {
        let text = STANDARD_NO_PAD.encode(format!("{before}{} and more", mark.1));
        assert_eq!(places_of(&mark, &[("here".to_owned(), text)]), ["here"]);
    }
    assert_eq!(places_of(&mark, &[("here".to_owned(), mark.1.to_uppercase())]), ["here"]);
    assert_eq!(places_of(&mark, &[("here".to_owned(), "elsewhere".to_owned())]), [] as [&str; 0]);
}
