use super::{Evidence, Finding};

/// What could be read was handled in the end, and what could not be read was set aside and nothing lost of it.
pub(super) fn hold_the_poison(evidence: &Evidence<'_>) -> Vec<Finding> {
    let letters = &evidence.drained.dead_letters;
    let others = letters.iter().filter(|letter| !letter.is_poison(evidence.poison));
    let mut findings: Vec<Finding> = others
        .map(|letter| {
            Finding::new(&letter.id, format!("{} holds {}: {}", letter.queue, letter.id, letter.body))
        })
        .collect();
    for poison in evidence.poison {
        if !letters.iter().any(|letter| letter.body.contains(poison.as_str())) {
            findings.push(Finding::new(poison, format!("poison {poison} is in no dead-letter queue")));
        }
    }
    findings
}
