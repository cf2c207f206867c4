use std::collections::{BTreeSet, HashSet};

use futures_util::future::join_all;
use operations::dead_letters::{Content, Letter, Origin, Outcome, Rate, Task};
use tokio::sync::watch;
use uuid::Uuid;
use yaml_serde::Value as Yaml;

use super::cloud::{
    all, counts, dead_letters, eventually, letters_with, name, of_no_concern, send, send_all, turn,
};

/// The names, without the environment, of all queues of the template that are named as the place for failures and that
/// are there whatever is switched on.
fn queues_for_failures() -> BTreeSet<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml");
    let template: Yaml = yaml_serde::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut named = BTreeSet::new();
    let resources = template["Resources"].as_mapping().unwrap().values();
    resources
        .filter(|resource| resource["Condition"].is_null())
        .for_each(|resource| collect_places(resource, &mut named));
    let name = |resource: &String| {
        let queue = &template["Resources"][resource.as_str()];
        assert_eq!(queue["Type"], "AWS::SQS::Queue", "{resource}");
        let Yaml::Tagged(name) = &queue["Properties"]["QueueName"] else { panic!("{resource}") };
        name.value.as_str().unwrap().replace("${Environment}-", "")
    };
    named.iter().map(name).collect()
}

/// The resources that something below refers to as the place for what fails.
fn collect_places(value: &Yaml, named: &mut BTreeSet<String>) {
    match value {
        Yaml::Mapping(members) => {
            for (key, member) in members {
                match member {
                    Yaml::Tagged(arn) if key == "deadLetterTargetArn" || key == "Destination" => {
                        named.insert(arn.value.as_str().unwrap().trim_end_matches(".Arn").to_owned());
                    }
                    member => collect_places(member, named),
                }
            }
        }
        Yaml::Sequence(members) => members.iter().for_each(|member| collect_places(member, named)),
        _ => {}
    }
}

#[tokio::test]
#[ignore = "needs the local cloud: cargo xtask test"]
async fn every_queue_for_failures_in_the_template_is_known_with_where_its_messages_are_from() {
    let wanted: BTreeSet<_> = queues_for_failures().iter().map(|of| name(of)).collect();
    let dead_letters = dead_letters().await;
    let found: BTreeSet<_> = dead_letters.queues().iter().map(|queue| queue.name().to_owned()).collect();
    assert_eq!(found, wanted);
    assert!(found.len() >= 9, "{found:?}");
    assert!(dead_letters.queues().iter().all(|queue| *queue.origin() != Origin::Unknown), "{dead_letters:?}");
}

#[tokio::test]
#[ignore = "needs the local cloud: cargo xtask test"]
async fn poison_of_every_queue_is_shown_with_its_reason_fails_again_and_can_be_dropped() {
    let _turn = turn().await;
    let dead_letters = &dead_letters().await;
    // Side by side: each failure takes its time.
    let poisoned = dead_letters.queues().iter().map(|queue| async move {
        let Origin::Queue { name: source, .. } = queue.origin() else { return };
        let mark = Uuid::now_v7().to_string();
        let has_mark = |letter: &Letter| letter.body().contains(&mark);
        let source = source.strip_prefix(&name("")).unwrap();
        let id = send(source, &format!(r#"{{"specversion":"1.0","type":"user_deleted","poison":"{mark}"}}"#))
            .await;

        let letters = letters_with(source, &mark, 1).await;
        let reason = letters[0].reason().unwrap();
        assert!(reason.contains("unreadable message"), "{source}: {reason}");
        assert_eq!(letters[0].id(), id);
        assert!(
            matches!(letters[0].content(), Content::Event { event_type, .. } if event_type == "user_deleted")
        );

        let given_back = dead_letters.redrive(queue, &all(&has_mark)).await.unwrap();
        assert_eq!((given_back.done, &given_back.failed[..]), (1, &[][..]));
        let again = letters_with(source, &mark, 1).await;
        assert_ne!(again[0].id(), id);

        let dropped = dead_letters.drop(queue, &all(&has_mark)).await.unwrap();
        assert_eq!(dropped.done, 1);
        assert!(dead_letters.show(queue, &has_mark, usize::MAX).await.unwrap().is_empty());
    });
    join_all(poisoned).await;
}

#[tokio::test]
#[ignore = "needs the local cloud: cargo xtask test"]
async fn hundreds_of_messages_are_all_seen_stay_visible_and_all_go_back_once() {
    let _turn = turn().await;
    let dead_letters = dead_letters().await;
    let queue = dead_letters.queue("avatar-uploads").unwrap();
    let marks: HashSet<_> = (0..250).map(|_| Uuid::now_v7().to_string()).collect();
    send_all("avatar-uploads-dlq", &marks.iter().map(|mark| of_no_concern(mark)).collect::<Vec<_>>()).await;

    let ids: HashSet<_> = dead_letters
        .show(queue, &|_| true, usize::MAX)
        .await
        .unwrap()
        .iter()
        .map(|letter| letter.id().to_owned())
        .collect();
    assert_eq!(ids.len(), 250);
    assert_eq!(counts("avatar-uploads-dlq").await, (250, 0), "what was looked at is visible at once");
    let summaries = dead_letters.list().await.unwrap();
    let summary = summaries.iter().find(|summary| summary.queue == queue).unwrap();
    assert_eq!((summary.count, summary.is_sample), (250, true));
    assert!(summary.oldest.is_some());

    let chosen: HashSet<_> = ids.iter().take(5).cloned().collect();
    let is_chosen = |letter: &Letter| chosen.contains(letter.id());
    let outcome = dead_letters.redrive(queue, &all(&is_chosen)).await.unwrap();
    assert_eq!(outcome, Outcome { done: 5, left: 245, ..Outcome::default() });
    assert_eq!(counts("avatar-uploads-dlq").await, (245, 0), "what was not chosen is visible at once");

    let outcome = dead_letters.redrive(queue, &all(&|_| true)).await.unwrap();
    assert_eq!(outcome, Outcome { done: 245, ..Outcome::default() });
    assert_eq!(counts("avatar-uploads-dlq").await, (0, 0));
    eventually("all were handled", || async { (counts("avatar-uploads").await == (0, 0)).then_some(()) })
        .await;
    assert_eq!(counts("avatar-uploads-dlq").await, (0, 0), "nothing came back");
}

#[tokio::test]
#[ignore = "needs the local cloud: cargo xtask test"]
async fn a_task_that_is_stopped_loses_nothing_and_leaves_everything_visible() {
    let _turn = turn().await;
    let dead_letters = dead_letters().await;
    let queue = dead_letters.queue("image-uploads").unwrap();
    let marks: Vec<_> = (0..30).map(|_| Uuid::now_v7().to_string()).collect();
    send_all("image-uploads-dlq", &marks.iter().map(|mark| of_no_concern(mark)).collect::<Vec<_>>()).await;

    let (stop, stopped) = watch::channel(false);
    // Whoever asks for a stop after three that are done gets it, whatever else is under way.
    let progress = move |outcome: &Outcome| {
        stop.send_replace(outcome.done == 3);
    };
    let rate = Rate::per_second(50.0).unwrap();
    let task = Task { chosen: &|_| true, rate, stop: stopped, progress: &progress };
    let outcome = dead_letters.drop(queue, &task).await.unwrap();
    assert!(outcome.is_stopped && outcome.failed.is_empty(), "{outcome:?}");
    assert_eq!(counts("image-uploads-dlq").await, (30 - outcome.done, 0));

    // The same again, now to the end.
    let outcome = dead_letters.drop(queue, &all(&|_| true)).await.unwrap();
    assert!(!outcome.is_stopped && outcome.failed.is_empty(), "{outcome:?}");
    assert_eq!(counts("image-uploads-dlq").await, (0, 0));
}
