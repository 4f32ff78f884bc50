use super::*;

fn many(state: &mut State, event: ManyEvent) -> Vec<Effect> {
    update(state, Event::Many(event))
}

fn run(state: &mut State, texts: usize) -> Vec<Effect> {
    let lines: Vec<String> = (0..texts).map(|number| format!("text {number}")).collect();
    many(state, ManyEvent::LinesChanged(lines.join("\n")));
    many(state, ManyEvent::Run)
}

/// Answers everything that is asked, by every fold, until nothing more is.
fn answer_all(state: &mut State, folds: usize, effects: Vec<Effect>) {
    let mut open = asked(&effects);
    while let Some((request, texts)) = open.pop() {
        for fold in 0..folds {
            let effects = answer(state, request, fold, &vec![[0.5, 0.0]; texts.len()]);
            open.extend(asked(&effects));
        }
    }
}

#[test]
fn goes_through_all_lines_in_batches() {
    let mut state = ready(2);
    let effects = run(&mut state, 50);
    let sizes: Vec<usize> = asked(&effects).iter().map(|(_, texts)| texts.len()).collect();
    assert_eq!(sizes, [16, 16]);
    answer_all(&mut state, 2, effects);

    let Job::Done(table) = &state.many.job else { panic!("{:?}", state.many.job) };
    assert_eq!((table.answered(), table.len()), (50, 50));
    let row = Row { probabilities: vec![0.5, 0.0], is_on: vec![true, false], truncated: false };
    assert!(table.rows().iter().all(|found| found.as_ref() == Some(&row)));
    assert_eq!(state.status, "50 texts classified.");
}

#[test]
fn cancelling_keeps_what_is_answered() {
    let mut state = ready(1);
    let effects = run(&mut state, 50);
    let (first, second) = (asked(&effects)[0].0, asked(&effects)[1].0);
    let more = answer(&mut state, first, 0, &[[0.5, 0.0]; 16]);
    let third = request(&more);
    let cancelled = [second, third].map(|request| Effect::CancelRequest { request });
    assert_eq!(many(&mut state, ManyEvent::Cancel), cancelled);
    assert!(matches!(&state.many.job, Job::Stopped(table) if table.answered() == 16));
    answer(&mut state, second, 0, &[[0.5, 0.0]; 16]);
    assert_eq!(state.many.job.table().unwrap().answered(), 16);
    assert_eq!(state.status, "Stopped after 16 of 50 texts.");
}

#[test]
fn typing_goes_on_beside_a_job() {
    let mut state = ready(1);
    run(&mut state, 50);
    let asked = request(&ask(&mut state, "text"));
    answer(&mut state, asked, 0, &[[1.0, 0.0]]);
    assert_eq!(probabilities(&state), [1.0, 0.0]);
    assert_eq!(state.many.job.table().unwrap().answered(), 0);
}

#[test]
fn a_job_goes_on_without_a_fold_that_fails() {
    let mut state = ready(2);
    let effects = run(&mut state, 3);
    let asked = request(&effects);
    answer(&mut state, asked, 0, &[[0.5, 0.0]; 3]);
    model(&mut state, ModelEvent::FoldFailed { fold: 1, failure: Failure::WorkerDied });
    assert!(matches!(&state.many.job, Job::Done(table) if table.answered() == 3));
}

#[test]
fn a_file_comes_before_the_lines_and_its_ids_come_back() {
    let mut state = ready(1);
    many(&mut state, ManyEvent::LinesChanged("a line".to_owned()));
    let chosen = ManyEvent::FileChosen { name: "t.csv".to_owned(), bytes: 30 };
    assert_eq!(many(&mut state, chosen), [Effect::ReadFile]);
    let content = b"id,text\n7,from the file\n".to_vec();
    many(&mut state, ManyEvent::FileRead { content });
    assert_eq!(state.many.text_count(), 1);
    let effects = many(&mut state, ManyEvent::Run);
    assert_eq!(asked(&effects)[0].1, ["from the file"]);
    answer_all(&mut state, 1, effects);

    let effects = many(&mut state, ManyEvent::Download);
    let content = "id,text,joy,fear,joy_probability,fear_probability\n\
                   7,from the file,1,0,0.5,0\n";
    let download = Effect::Download { name: "quintet.csv".to_owned(), content: content.to_owned() };
    assert_eq!(effects, [download]);
}

#[test]
fn a_malformed_file_is_refused_and_not_run() {
    let mut state = ready(1);
    let chosen = ManyEvent::FileChosen { name: "t.csv".to_owned(), bytes: 30 };
    many(&mut state, chosen);
    many(&mut state, ManyEvent::FileRead { content: b"id,text\n1,\"open\n".to_vec() });
    assert!(state.many.problem.as_ref().unwrap().message.starts_with("t.csv, line 2"));
    assert_eq!(many(&mut state, ManyEvent::Run), []);

    let huge = ManyEvent::FileChosen { name: "h.csv".to_owned(), bytes: 3_000_000_000 };
    assert_eq!(many(&mut state, huge), []);
    assert!(state.many.problem.as_ref().unwrap().message.contains("3.00 GB"));
}

#[test]
fn nothing_runs_before_the_models_are_there() {
    let mut state = loading(2);
    model(&mut state, ModelEvent::FoldReady { fold: 0 });
    assert_eq!(run(&mut state, 3), []);
}
