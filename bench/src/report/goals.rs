use serde::Serialize;

use crate::{
    measure::{Cold, Results, Row},
    stats::percentile,
    store::Transport,
    targets::{Job, Program, TARGETS},
};

const SERVICES: [Program; 3] = [Program::UserService, Program::ProductService, Program::OrderService];

/// A figure that has to stay below a limit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Goal {
    /// The build of the services.
    pub build: String,
    /// What it is about.
    pub name: String,
    /// The limit.
    pub must: f64,
    /// The limit that is aimed at.
    pub aim: f64,
    /// The figure wherever it was measured; the highest counts.
    pub measured: Vec<(String, f64)>,
    /// Figures that help to understand it, and that it does not depend on.
    pub beside: Vec<(String, f64)>,
}

impl Goal {
    /// The figure that counts; `None` if nothing was measured.
    pub fn worst(&self) -> Option<f64> {
        self.measured.iter().map(|(_, figure)| *figure).max_by(f64::total_cmp)
    }

    /// In a word.
    pub fn verdict(&self) -> &'static str {
        match self.worst() {
            None => "not measured",
            Some(worst) if worst <= self.aim => "ok, as aimed",
            Some(worst) if worst <= self.must => "ok",
            Some(_) => "MISSED",
        }
    }
}

/// All goals, for one build of the services.
pub(super) fn goals(results: &Results, build: &str) -> Vec<Goal> {
    let figures = Figures { results, build };
    let goal = |name: &str, must: f64, aim: f64, measured: Vec<(String, f64)>| Goal {
        build: build.to_owned(),
        name: name.to_owned(),
        must,
        aim,
        measured,
        beside: Vec::new(),
    };
    vec![
        // Until the first connection the SDK prepares its first request, which is part of the warm-up; in lean, too.
        Goal {
            beside: figures.first_connections(),
            ..goal("https: init before warm-up / no-op", 1.3, 1.1, figures.starts())
        },
        goal("https: init + first call / naive", 0.15, 0.11, figures.whole_start()),
        goal("https: first call at a 128 MB share, ms", 2.0, 0.6, figures.first_call_at_128()),
        goal("warm product GET p50 / lean", 1.25, 1.1, figures.warm_by_lean()),
        goal("CPU per warm call / naive", 0.4, 0.3, figures.cpu_by_naive()),
        goal("https: peak memory of a service, MiB", 10.0, 8.0, figures.memory()),
        goal("zip of a service, MiB", 4.0, 2.5, figures.zip()),
        goal("queue batch of 10 / one record", 3.0, 2.0, figures.batch(|row| Some(row.warm.latency.p50))),
        goal(
            "the same, with a slower store",
            3.0,
            2.0,
            figures.batch(|row| Some(row.slow_store.as_ref()?.latency.p50)),
        ),
    ]
}

/// What is started cold, each beside the least that can be started.
fn pairs_with_no_op(concerns: impl Fn(Program) -> bool) -> Vec<(&'static str, &'static str)> {
    let started = TARGETS.iter().filter(|target| target.cold && concerns(target.program));
    started.map(|target| (target.name, "no-op")).collect()
}

struct Figures<'a> {
    results: &'a Results,
    build: &'a str,
}

impl Figures<'_> {
    fn row(&self, target: &str, transport: Transport) -> Option<&Row> {
        self.results.rows.iter().find(|row| {
            row.target == target && row.transport == transport && self.is_concerned(row.build.as_deref())
        })
    }

    fn is_concerned(&self, build: Option<&str>) -> bool {
        build.is_none_or(|build| build == self.build)
    }

    /// A figure of a target in relation to that of another, wherever both were measured.
    fn ratios(
        &self,
        pairs: &[(&str, &str)],
        transports: &[Transport],
        figure: impl Fn(&Row) -> Option<f64>,
    ) -> Vec<(String, f64)> {
        let pairs = pairs.iter().flat_map(|pair| transports.iter().map(move |transport| (pair, *transport)));
        let ratio = |((one, other), transport): (&(&str, &str), Transport)| {
            let ratio = figure(self.row(one, transport)?)? / figure(self.row(other, transport)?)?;
            Some((format!("{one}, {}", transport.name()), ratio))
        };
        pairs.filter_map(ratio).collect()
    }

    /// Until a service is configured, in relation to the whole start of a function that needs no configuration.
    fn starts(&self) -> Vec<(String, f64)> {
        let start = |cold: &Cold| Some(cold.configured.as_ref().unwrap_or(&cold.before_warm_up).p50);
        self.ratios(&pairs_with_no_op(Program::is_service), &[Transport::Https], |row| {
            start(row.cold.as_ref()?)
        })
    }

    /// Until the first connection to AWS.
    fn first_connections(&self) -> Vec<(String, f64)> {
        let pairs = pairs_with_no_op(|program| program.is_service() || program == Program::Lean);
        self.ratios(&pairs, &[Transport::Https], |row| Some(row.cold.as_ref()?.before_warm_up.p50))
            .into_iter()
            .map(|(what, ratio)| (format!("{what}, to the first connection"), ratio))
            .collect()
    }

    fn whole_start(&self) -> Vec<(String, f64)> {
        self.ratios(&[("product-get", "naive-get")], &[Transport::Https], |row| {
            Some(whole_start(row.cold.as_ref()?))
        })
    }

    /// Not that of a login, which is the hashing of a password.
    fn first_call_at_128(&self) -> Vec<(String, f64)> {
        let shares = self.results.shares.iter().filter(|share| {
            let target = TARGETS.iter().find(|target| target.name == share.target);
            let counts = target.is_some_and(|target| target.program.is_service() && target.job != Job::Login);
            counts && share.memory == 128 && self.is_concerned(share.build.as_deref())
        });
        shares.map(|share| (share.target.clone(), share.first_call.p50 / 1000.0)).collect()
    }

    fn warm_by_lean(&self) -> Vec<(String, f64)> {
        let both = [Transport::Http, Transport::Https];
        self.ratios(&[("product-get", "lean-get")], &both, |row| Some(row.warm.latency.p50))
    }

    fn cpu_by_naive(&self) -> Vec<(String, f64)> {
        let pairs = [("product-get", "naive-get"), ("order-post", "naive-put")];
        self.ratios(&pairs, &[Transport::Http, Transport::Https], |row| Some(row.warm.cpu_per_call))
    }

    fn memory(&self) -> Vec<(String, f64)> {
        let rows = |row: &&Row| row.transport == Transport::Https;
        self.of_services(rows, |row| row.peak_memory_kib as f64 / 1024.0)
    }

    fn zip(&self) -> Vec<(String, f64)> {
        self.of_services(|_| true, |row| row.zipped_size as f64 / 1024.0 / 1024.0)
    }

    /// The highest figure of each service.
    fn of_services(
        &self,
        concerns: impl Fn(&&Row) -> bool,
        figure: impl Fn(&Row) -> f64,
    ) -> Vec<(String, f64)> {
        let highest = |program: Program| {
            let rows = self.results.rows.iter().filter(&concerns);
            let rows = rows.filter(|row| row.program == program && self.is_concerned(row.build.as_deref()));
            Some((program.name().to_owned(), rows.map(&figure).max_by(f64::total_cmp)?))
        };
        SERVICES.into_iter().filter_map(highest).collect()
    }

    fn batch(&self, figure: impl Fn(&Row) -> Option<f64>) -> Vec<(String, f64)> {
        let pairs =
            [("stock-requests-10", "stock-requests-1"), ("order-processing-10", "order-processing-1")];
        self.ratios(&pairs, &[Transport::Http, Transport::Https], figure)
    }
}

/// From the start of the process until it has answered its first call: half of the starts take less.
fn whole_start(cold: &Cold) -> f64 {
    let mut sums: Vec<u64> = cold.samples.iter().map(|sample| sample.init + sample.first_call).collect();
    sums.sort_unstable();
    percentile(&sums, 50.0) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goal(figures: &[f64]) -> Goal {
        let measured = figures.iter().map(|figure| (String::new(), *figure)).collect();
        Goal { build: String::new(), name: String::new(), must: 3.0, aim: 2.0, measured, beside: Vec::new() }
    }

    #[test]
    fn the_worst_figure_decides() {
        assert_eq!(goal(&[1.0, 2.0]).verdict(), "ok, as aimed");
        assert_eq!(goal(&[2.5, 1.0]).verdict(), "ok");
        assert_eq!(goal(&[1.0, 3.1]).verdict(), "MISSED");
        assert_eq!(goal(&[]).verdict(), "not measured");
    }

    #[test]
    fn goals_name_targets_that_exist() {
        let names = TARGETS.map(|target| target.name);
        for name in [
            "product-get",
            "order-post",
            "no-op",
            "lean-get",
            "naive-get",
            "naive-put",
            "stock-requests-1",
            "stock-requests-10",
            "order-processing-1",
            "order-processing-10",
        ] {
            assert!(names.contains(&name), "{name}");
        }
    }
}
