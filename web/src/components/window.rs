//! The rows of a long table that are in sight: only these are on the page, between two empty stretches.

use std::ops::Range;

/// Rows above and below those in sight that are on the page, too, so that fast scrolling shows no gap.
const SPARE: usize = 6;

/// The most pixels that all rows take. Browsers draw no element that is much higher; a table with more is scrolled in longer steps.
const HIGHEST: f64 = 8_000_000.0;

/// How a box stands over the table that it scrolls, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sight {
    /// From the table's top edge to the box's.
    pub scrolled: f64,
    /// The height of the box, without the table's head, which stays in sight.
    pub height: f64,
    /// The height of a row.
    pub row: f64,
}

/// A stretch of rows, and where it stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// The first row of it, and the one after the last.
    pub first: usize,
    pub end: usize,
    /// The pixels above it, and those that all rows take.
    pub above: f64,
    pub all: f64,
}

/// A window, and the elements on the page that show its rows. Elements are numbered from above.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Filled {
    pub window: Window,
    /// The number of the first row's element.
    first: usize,
}

impl Filled {
    /// The window after `before`. A row that stays in sight keeps its element. If none does, the elements that are there show
    /// the new rows: to make as many new ones takes several times as long.
    pub fn after(before: Option<&Self>, window: Window) -> Self {
        // Far from zero, so that there is room above, too.
        let Some(before) = before else { return Self { window, first: usize::MAX / 2 } };
        let stays = window.first < before.window.end && before.window.first < window.end;
        let first =
            if stays { before.first + window.first - before.window.first } else { before.first };
        Self { window, first }
    }

    /// The numbers of the elements.
    pub fn elements(self) -> Range<usize> {
        self.first..self.first + (self.window.end - self.window.first)
    }

    /// The row that an element shows.
    pub fn row(self, element: usize) -> Option<usize> {
        let is_there = self.elements().contains(&element);
        is_there.then(|| self.window.first + (element - self.first))
    }
}

impl Sight {
    /// The stretch of a table of so many rows.
    pub fn window(self, rows: usize) -> Window {
        let Self { scrolled, height, row } = self;
        let length = rows as f64 * row;
        let all = length.min(HIGHEST);
        let step = if all > height { (length - height).max(0.0) / (all - height) } else { 1.0 };
        // In pixels of a table in which every row had its place.
        let top = (scrolled * step).clamp(0.0, (length - height).max(0.0));
        let first = ((top / row) as usize).saturating_sub(SPARE);
        let end = (((top + height) / row).ceil() as usize + SPARE).min(rows);
        let above = (scrolled - (top - first as f64 * row)).max(0.0);
        Window { first, end, above, all }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(scrolled: f64, rows: usize) -> Window {
        Sight { scrolled, height: 500.0, row: 50.0 }.window(rows)
    }

    #[test]
    fn a_short_table_is_there_as_a_whole() {
        assert_eq!(window(0.0, 3), Window { first: 0, end: 3, above: 0.0, all: 150.0 });
        assert_eq!(window(0.0, 0), Window { first: 0, end: 0, above: 0.0, all: 0.0 });
    }

    #[test]
    fn rows_in_sight_are_on_the_page_at_their_place() {
        let window = window(120_010.0, 10_000);
        assert_eq!((window.first, window.end), (2400 - SPARE, 2411 + SPARE));
        assert_eq!(window.above, (2400 - SPARE) as f64 * 50.0);
        assert_eq!(window.all, 500_000.0);
    }

    #[test]
    fn the_end_of_a_table_of_any_length_can_be_reached() {
        for rows in [11, 10_000, 160_000, 160_001, 1_000_000, 30_000_000] {
            let all = window(0.0, rows).all;
            assert!(all <= HIGHEST);
            let at_end = window(all - 500.0, rows);
            assert_eq!(at_end.end, rows);
            let bottom = at_end.above + (at_end.end - at_end.first) as f64 * 50.0;
            assert!((bottom - all).abs() < 1e-3, "{rows}: {bottom} of {all}");
            // Past the end, as browsers scroll that spring back.
            assert_eq!(window(all, rows).end, rows);
        }
    }

    #[test]
    fn scrolling_down_never_goes_back_and_leaves_no_row_out() {
        for rows in [10_000, 1_000_000] {
            let mut before = window(0.0, rows);
            for step in 1..20_000 {
                let after = window(f64::from(step) * 10.0, rows);
                assert!(after.first >= before.first && after.first <= before.end);
                before = after;
            }
        }
    }

    #[test]
    fn a_row_that_stays_in_sight_keeps_its_element() {
        let mut before = Filled::after(None, window(5000.0, 1000));
        for scrolled in [5010.0, 5050.0, 4950.0, 5300.0, 4700.0, 0.0, 20.0] {
            let after = Filled::after(Some(&before), window(scrolled, 1000));
            let rows = |filled: Filled| filled.elements().map(move |of| (filled.row(of), of));
            let kept = rows(before).filter(|&(row, _)| rows(after).any(|(seen, _)| seen == row));
            assert!(kept.clone().all(|kept| rows(after).any(|now| now == kept)));
            assert_eq!(kept.count() > 0, scrolled != 0.0);
            let shown = rows(after).map(|(row, _)| row.unwrap());
            assert!(shown.eq(after.window.first..after.window.end));
            assert_eq!(after.row(after.elements().end), None);
            before = after;
        }
    }

    #[test]
    fn rows_far_away_are_shown_by_the_elements_that_are_there() {
        let near = Filled::after(None, window(5000.0, 1000));
        let far = Filled::after(Some(&near), window(20_000.0, 1000));
        assert_eq!(far.elements(), near.elements());
        assert_eq!(far.row(near.elements().start), Some(400 - SPARE));
        // There are fewer at the end.
        let end = Filled::after(Some(&far), window(49_500.0, 1000));
        assert_eq!(end.elements().start, near.elements().start);
        assert_eq!(end.elements().len(), 10 + SPARE);
    }
}
