//! Pictures that arrive, are told of again, are taken away and lose their product, in any order and at once.

use futures_util::future::{BoxFuture, join_all};
use proptest::{collection::vec, prelude::*};
use test_support::door;

use super::Upload;
use crate::{BUCKET, Shop, path, run};

/// Uploads of a story: the first of them are pictures when it begins, so that there is hardly any room for the others.
const SHOWN: usize = 8;
const UPLOADS: usize = 13;
const ROOM: usize = 10;

#[derive(Clone, Copy, Debug)]
enum Deed {
    /// The file is put into the bucket (again).
    Upload(usize),
    /// The bucket tells of it, whether that is new or not.
    Tell(usize),
    Remove(usize),
    RemoveProduct,
}

/// What happens at once, and whether events are carried to the queue after that.
type Chapter = (Vec<Deed>, bool);

fn stories(
    at_once: std::ops::Range<usize>,
    chapters: std::ops::Range<usize>,
) -> impl Strategy<Value = Vec<Chapter>> {
    let deed = prop_oneof![
        8 => (0..UPLOADS).prop_map(Deed::Upload),
        12 => (0..UPLOADS).prop_map(Deed::Tell),
        5 => (0..UPLOADS).prop_map(Deed::Remove),
        1 => Just(Deed::RemoveProduct),
    ];
    vec((vec(deed, at_once), any::<bool>()), chapters)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Pending,
    Attached,
    Refused,
    Removed,
}

/// The rules, one deed after the other: which pictures are shown at the end; `None` if the product is gone.
fn model(story: &[Chapter]) -> Option<Vec<usize>> {
    let mut product = true;
    let mut states = [State::Pending; UPLOADS];
    states[..SHOWN].fill(State::Attached);
    let mut files = states.map(|state| state == State::Attached);
    let all = story.iter().flat_map(|(deeds, _)| deeds).copied();
    // At the end, the bucket tells of everything that was ever there.
    for deed in all.chain((0..UPLOADS).map(Deed::Tell)) {
        let shown = states.iter().filter(|state| **state == State::Attached).count();
        match deed {
            Deed::Upload(upload) => files[upload] = true,
            Deed::Tell(upload) if product && files[upload] => match states[upload] {
                State::Pending if shown < ROOM => states[upload] = State::Attached,
                State::Pending => states[upload] = State::Refused,
                State::Attached | State::Refused | State::Removed => {}
            },
            Deed::Remove(upload) if matches!(states[upload], State::Pending | State::Attached) => {
                states[upload] = State::Removed;
            }
            Deed::RemoveProduct => product = false,
            Deed::Tell(_) | Deed::Remove(_) => {}
        }
        // Who takes a refused file away does so at once, and it can only come again by another upload.
        if let Deed::Tell(upload) = deed
            && (!product || states[upload] != State::Attached)
        {
            files[upload] = false;
        }
    }
    product.then(|| (0..UPLOADS).filter(|upload| states[*upload] == State::Attached).collect())
}

/// The end of a story: the pictures that are shown, and the fates of all uploads.
struct End {
    shown: Option<Vec<usize>>,
    fates: Vec<String>,
}

async fn tell(story: &[Chapter]) -> End {
    let shop = Shop::open();
    let product = shop.product(1).await;
    let mut uploads = Vec::new();
    for number in 0..UPLOADS {
        uploads.push(shop.ask(product).await);
        if number < SHOWN {
            shop.upload(&uploads[number]);
        }
    }
    shop.arrived(&uploads[..SHOWN]).await;
    for (deeds, carried) in story {
        let deeds =
            deeds.iter().map(|deed| -> BoxFuture<'_, ()> { Box::pin(carry_out(&shop, *deed, &uploads)) });
        join_all(deeds).await;
        if *carried {
            shop.carry_events().await;
        }
    }
    shop.arrived(&uploads).await;
    shop.carry_events().await;

    let read = shop.read(product).await;
    let shown = if read.status == 200 { shop.shown(product).await } else { Vec::new() };
    assert!(shown.is_sorted() && shown.len() <= ROOM, "{shown:?}");
    let numbers: Vec<usize> = (0..UPLOADS).filter(|number| shown.contains(&uploads[*number].id)).collect();
    assert_eq!(numbers.len(), shown.len(), "none is shown twice");
    let mut files: Vec<String> = numbers.iter().map(|number| uploads[*number].key()).collect();
    files.sort();
    assert_eq!(shop.bucket.keys(BUCKET), files, "what is shown is there, and nothing else");
    let mut fates = Vec::new();
    for upload in &uploads {
        fates.push(shop.fate(upload).await.0);
    }
    End { shown: (read.status == 200).then_some(numbers), fates }
}

async fn carry_out(shop: &Shop, deed: Deed, uploads: &[Upload]) {
    match deed {
        Deed::Upload(upload) => shop.upload(&uploads[upload]),
        Deed::Tell(upload) => shop.arrived([&uploads[upload]]).await,
        Deed::Remove(upload) => {
            let status = shop.remove(&uploads[upload]).await.status;
            assert!(matches!(status, 204 | 404), "{status}");
        }
        Deed::RemoveProduct => {
            let status = shop.admin(door::http_v2("DELETE", &path(uploads[0].product))).await.status;
            assert!(matches!(status, 204 | 404), "{status}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_after_the_other_as_the_rules_say(story in stories(1..2, 1..25)) {
        prop_assert_eq!(run(tell(&story)).shown, model(&story));
    }

    #[test]
    fn at_once_every_picture_that_was_not_taken_away_is_shown_or_was_one_too_many(story in stories(2..9, 1..6)) {
        let end = run(tell(&story));
        let deeds: Vec<Deed> = story.into_iter().flat_map(|(deeds, _)| deeds).collect();
        for (upload, fate) in end.fates.iter().enumerate() {
            let shown = end.shown.as_ref().is_some_and(|shown| shown.contains(&upload));
            let came = upload < SHOWN || deeds.iter().any(|deed| matches!(deed, Deed::Upload(number) if *number == upload));
            let removed = deeds.iter().any(|deed| matches!(deed, Deed::Remove(number) if *number == upload));
            prop_assert!(!shown || fate == "attached");
            prop_assert!(fate != "removed" || removed);
            if end.shown.is_some() {
                prop_assert_eq!(shown, fate == "attached");
                prop_assert!(removed || !came || fate != "pending", "{upload} was forgotten");
                prop_assert!(upload >= SHOWN || fate != "refused");
            }
        }
    }
}
