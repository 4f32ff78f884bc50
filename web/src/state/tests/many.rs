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
    let answer = Answer { probabilities: &[0.5, 0.0], disagreement: 0.0, truncated: false };
    assert!((0..50).all(|text| table.answers().get(text) == Some(answer)));
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

/// What is read from a file of this content.
fn read(name: &str, content: &[u8]) -> Result<TextsFile, Problem> {
    let mut reader = TextsReader::new(name);
    reader.push(content)?;
    reader.finish()
}

/// Chooses a file, of which this is read.
fn choose(state: &mut State, content: &[u8]) {
    let name = "t.csv".to_owned();
    let effects = many(state, ManyEvent::FileChosen { name, bytes: content.len() as u64 });
    let [Effect::ReadFile { file }] = effects[..] else { panic!("{effects:?}") };
    many(state, ManyEvent::FileRead { file, outcome: read("t.csv", content) });
}

/// The file that is saved.
fn saved(state: &mut State) -> String {
    assert_eq!(many(state, ManyEvent::Download), [Effect::SaveTable]);
    let table = state.many.job.table().unwrap();
    table_parts(table, state.model.bundle.as_ref().unwrap()).collect()
}

#[test]
fn a_file_comes_before_the_lines_and_its_ids_come_back() {
    let mut state = ready(1);
    many(&mut state, ManyEvent::LinesChanged("a line".to_owned()));
    choose(&mut state, b"id,text\n7,from the file\n");
    assert_eq!(state.many.text_count(), 1);
    let effects = many(&mut state, ManyEvent::Run);
    assert_eq!(asked(&effects)[0].1, ["from the file"]);
    answer_all(&mut state, 1, effects);
    assert_eq!(
        saved(&mut state),
        "id,text,joy,fear,joy_probability,fear_probability\n7,from the file,1,0,0.5,0\n"
    );
}

#[test]
fn what_is_saved_can_be_read_again() {
    let mut state = ready(1);
    let texts = ["a \"b\",\nc", "d"];
    choose(&mut state, b"text\n\"a \"\"b\"\",\nc\"\nd\n");
    let asked = request(&many(&mut state, ManyEvent::Run));
    many(&mut state, ManyEvent::Cancel);
    let saved = saved(&mut state);
    let wanted = "text,joy,fear,joy_probability,fear_probability\n\"a \"\"b\"\",\nc\",,,,\nd,,,,\n";
    assert_eq!(saved, wanted);
    let again = read("t.csv", saved.as_bytes()).unwrap().texts;
    assert_eq!(again.iter().collect::<Vec<_>>(), texts);
    // A late answer changes nothing.
    answer(&mut state, asked, 0, &[[0.5, 0.0]; 2]);
    assert_eq!(state.many.job.table().unwrap().answered(), 0);
}

#[test]
fn a_malformed_file_is_refused_and_not_run() {
    let mut state = ready(1);
    choose(&mut state, b"id,text\n1,\"open\n");
    assert!(state.many.problem.as_ref().unwrap().message.starts_with("t.csv, line 2"));
    assert_eq!(many(&mut state, ManyEvent::Run), []);

    let huge = ManyEvent::FileChosen { name: "h.csv".to_owned(), bytes: 3_000_000_000 };
    assert_eq!(many(&mut state, huge), []);
    assert!(state.many.problem.as_ref().unwrap().message.contains("3.00 GB"));
}

#[test]
fn a_file_that_is_not_wanted_any_more_is_forgotten() {
    let mut state = ready(1);
    let chosen = |name: &str| ManyEvent::FileChosen { name: name.to_owned(), bytes: 30 };
    many(&mut state, chosen("a.csv"));
    many(&mut state, chosen("b.csv"));
    let late = ManyEvent::FileRead { file: 1, outcome: read("a.csv", b"text\na\n") };
    many(&mut state, late);
    many(&mut state, ManyEvent::FileProgress { file: 2, received: 20 });
    let reading = FileReading { name: "b.csv".to_owned(), received: 20 };
    assert_eq!((state.many.reading.as_ref(), state.many.text_count()), (Some(&reading), 0));
    many(&mut state, ManyEvent::FileRemoved);
    assert!(!state.many.is_reading(2));
    many(&mut state, ManyEvent::FileRead { file: 2, outcome: read("b.csv", b"text\nb\n") });
    assert_eq!((&state.many.file, &state.many.problem), (&None, &None));
}

#[test]
fn rows_are_chosen_and_sorted_while_answers_arrive_and_saved_so() {
    let mut state = ready(2);
    choose(&mut state, b"text\na\nb\nc\n");
    let asked = request(&many(&mut state, ManyEvent::Run));
    many(&mut state, ManyEvent::Filtered(Filter::Label(0)));
    many(&mut state, ManyEvent::SortedBy(Key::Disagreement));
    answer(&mut state, asked, 0, &[[0.5, 0.0], [0.25, 0.0], [0.5, 0.25]]);
    assert_eq!(state.many.job.table().unwrap().shown(), 0);
    answer(&mut state, asked, 1, &[[0.75, 0.0], [0.25, 0.5], [1.0, 0.25]]);
    let table = state.many.job.table().unwrap();
    assert_eq!((table.shown(), table.len()), (2, 3));
    assert_eq!(table.answers().get(1).unwrap().disagreement, 0.5);
    assert_eq!(
        saved(&mut state),
        "text,joy,fear,joy_probability,fear_probability\nc,1,1,0.75,0.25\na,1,0,0.625,0\n"
    );
    many(&mut state, ManyEvent::Filtered(Filter::NoLabel));
    assert_eq!(state.many.job.table().unwrap().shown(), 0);
    // The next table is shown as a whole.
    many(&mut state, ManyEvent::Run);
    assert!(state.many.job.table().unwrap().selection().is_plain());
}

#[test]
fn a_row_is_explained_until_its_table_goes() {
    let mut state = ready(1);
    choose(&mut state, b"text\nso glad\nno\n");
    let effects = many(&mut state, ManyEvent::Run);
    let first = request(&effects);
    answer(&mut state, first, 0, &[[0.75, 0.0], [0.0, 0.5]]);
    let effects = update(&mut state, Event::Explanation(ExplanationEvent::ExplainRow(0)));
    assert_eq!(asked(&effects)[0].1, ["so glad", "glad", "so "]);
    assert_eq!((state.explanation.row(), state.explanation.is_of_box()), (Some(0), false));
    // Typing does not end it, a row of another table does.
    ask(&mut state, "text");
    assert_eq!(state.explanation.row(), Some(0));
    many(&mut state, ManyEvent::Run);
    assert_eq!(state.explanation.row(), None);
    let beyond = Event::Explanation(ExplanationEvent::ExplainRow(2));
    assert_eq!(update(&mut state, beyond), []);
}

#[test]
fn nothing_runs_before_the_models_are_there() {
    let mut state = loading(2);
    model(&mut state, ModelEvent::FoldReady { fold: 0 });
    assert_eq!(run(&mut state, 3), []);
}
