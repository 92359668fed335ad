//! What a page is looked at with.

/// A screen, its colours, and whether scripts run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// The width of the page, in pixels.
    pub width: u32,
    /// The height of what is seen of it at once, in pixels.
    pub height: u32,
    /// The colours that the reader prefers.
    pub colours: Colours,
    /// Whether scripts run.
    pub scripts: Scripts,
}

/// The colours that a reader prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colours {
    /// Dark on a light ground.
    Light,
    /// Light on a dark ground.
    Dark,
}

/// Whether the scripts of pages run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scripts {
    /// They run.
    On,
    /// They do not.
    Off,
}

impl Device {
    /// A desktop's screen.
    pub const WIDE: Self = Self {
        width: 1440,
        height: 900,
        colours: Colours::Light,
        scripts: Scripts::On,
    };

    /// A phone's screen, in an upright position.
    pub const PHONE: Self = Self {
        width: 390,
        height: 844,
        ..Self::WIDE
    };

    /// Returns it in dark colours.
    #[must_use]
    pub const fn dark(self) -> Self {
        Self {
            colours: Colours::Dark,
            ..self
        }
    }

    /// Returns it without scripts.
    #[must_use]
    pub const fn without_scripts(self) -> Self {
        Self {
            scripts: Scripts::Off,
            ..self
        }
    }

    /// Returns every device that pages are checked with: both screens, in both colours, with scripts and without.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::WIDE, Self::PHONE]
            .into_iter()
            .flat_map(|screen| [screen, screen.dark()])
            .flat_map(|device| [device, device.without_scripts()])
    }
}

impl Colours {
    /// Returns the name that style sheets have for it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}
