//! Pure: circles in a graph of names.

use std::collections::{HashMap, VecDeque};

/// The shortest way from `start` along `next` back to it, each name once and `start` first. Nothing when there is none.
/// Each name is looked at once at most.
pub fn shortest(start: &str, next: impl Fn(&str) -> Vec<String>) -> Option<Vec<String>> {
    let mut reached_from: HashMap<String, String> = HashMap::new();
    let mut queue = VecDeque::from([start.to_owned()]);
    while let Some(name) = queue.pop_front() {
        for following in next(&name) {
            if following == start {
                let mut way = vec![name];
                while let Some(before) = way.last().and_then(|last| reached_from.get(last)) {
                    way.push(before.clone());
                }
                way.reverse();
                return Some(way);
            }
            if !reached_from.contains_key(&following) {
                reached_from.insert(following.clone(), name.clone());
                queue.push_back(following);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::{collection::vec, prelude::*};
    use rstest::rstest;

    use super::*;
    use crate::properties::cases;

    type Graph = BTreeMap<String, Vec<String>>;

    fn of(graph: &Graph, start: &str) -> Option<Vec<String>> {
        shortest(start, |name| graph.get(name).cloned().unwrap_or_default())
    }

    #[rstest]
    #[case::none(&["a>b", "b>c"], None)]
    #[case::itself(&["a>a"], Some("a"))]
    #[case::three(&["a>b", "b>c", "c>a"], Some("a b c"))]
    #[case::the_shorter_one(&["a>b", "b>c", "c>a", "b>a"], Some("a b"))]
    #[case::a_circle_of_others(&["a>b", "b>c", "c>b"], None)]
    #[case::beside_a_dead_end(&["a>x", "a>b", "x>y", "b>a"], Some("a b"))]
    fn a_circle_is_found_by_whom_it_holds(#[case] edges: &[&str], #[case] expected: Option<&str>) {
        let mut graph = Graph::new();
        for (from, to) in edges.iter().map(|edge| edge.split_once('>').unwrap()) {
            graph.entry(from.to_owned()).or_default().push(to.to_owned());
        }
        assert_eq!(of(&graph, "a").map(|way| way.join(" ")).as_deref(), expected);
    }

    /// Whether `to` can be reached from `from`, found without cleverness: by as many steps as there are names.
    fn leads_to(graph: &Graph, from: &str, to: &str) -> bool {
        let mut reached = vec![from.to_owned()];
        for _ in 0..=graph.len() {
            let more: Vec<_> = reached.iter().filter_map(|name| graph.get(name)).flatten().cloned().collect();
            if more.iter().any(|name| name == to) {
                return true;
            }
            reached = more;
            reached.sort();
            reached.dedup();
        }
        false
    }

    proptest! {
        #![proptest_config(cases(256))]

        #[test]
        fn a_circle_is_found_if_and_only_if_there_is_one(edges in vec((0_u8..7, 0_u8..7), 0..16)) {
            let mut graph = Graph::new();
            for (from, to) in edges {
                graph.entry(from.to_string()).or_default().push(to.to_string());
            }
            for start in (0_u8..7).map(|name| name.to_string()) {
                match of(&graph, &start) {
                    None => prop_assert!(!leads_to(&graph, &start, &start)),
                    Some(way) => {
                        prop_assert_eq!(&way[0], &start);
                        let unique: std::collections::BTreeSet<_> = way.iter().collect();
                        prop_assert_eq!(unique.len(), way.len(), "each name is there once");
                        for (from, to) in way.iter().zip(way.iter().skip(1).chain([&start])) {
                            prop_assert!(graph[from].contains(to), "{} does not wait for {}", from, to);
                        }
                    }
                }
            }
        }
    }
}
