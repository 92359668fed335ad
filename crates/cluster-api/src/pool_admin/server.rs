//! Calls of a pool's administration, as they come in.

use std::future::Future;
use std::rc::Rc;

use super::{NewPause, ServePoolAdmin};
use crate::Progress;
use crate::handle::Served;
use crate::raw::extensions_capnp::{
    extended_pool_admin, pool_control, pool_details, temporary_pause,
};
use crate::raw::schema_capnp::pool_admin;
use crate::text::{capability, list_length, text};

impl<S: ServePoolAdmin> pool_admin::Server for Served<S> {
    fn show(
        self: Rc<Self>,
        _params: pool_admin::ShowParams,
        mut results: pool_admin::ShowResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let pool = self.object();
        async move {
            let state = pool.show().await?;
            results.get().set_state(&state);
            Ok(())
        }
    }

    fn workers(
        self: Rc<Self>,
        _params: pool_admin::WorkersParams,
        mut results: pool_admin::WorkersResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let pool = self.object();
        async move {
            let workers = pool.workers().await?;
            let length = list_length(&workers, "workers")?;
            let mut list = results.get().init_workers(length);
            for (index, worker) in (0..).zip(&workers) {
                worker.write(list.reborrow().get(index));
            }
            Ok(())
        }
    }

    fn set_active(
        self: Rc<Self>,
        params: pool_admin::SetActiveParams,
        _results: pool_admin::SetActiveResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let pool = self.object();
        async move {
            let reader = params.get()?;
            let worker = text(reader.get_worker(), "worker")?;
            let (active, auto_create) = (reader.get_active(), reader.get_auto_create());
            Ok(pool.set_active(worker, active, auto_create).await?)
        }
    }

    fn worker(
        self: Rc<Self>,
        params: pool_admin::WorkerParams,
        mut results: pool_admin::WorkerResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let pool = self.object();
        async move {
            let name = text(params.get()?.get_worker(), "worker")?;
            let worker = pool.worker(name).await?;
            results.get().set_worker(worker.into_raw());
            Ok(())
        }
    }

    fn update(
        self: Rc<Self>,
        params: pool_admin::UpdateParams,
        _results: pool_admin::UpdateResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let pool = self.object();
        async move {
            let reader = params.get()?;
            let worker = text(reader.get_worker(), "worker")?;
            let progress = capability(reader.get_progress(), "progress")?.map(Progress::from_raw);
            drop(params);
            Ok(pool.update(worker, progress).await?)
        }
    }

    fn set_rate(
        self: Rc<Self>,
        params: pool_admin::SetRateParams,
        _results: pool_admin::SetRateResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let pool = self.object();
        async move {
            let reader = params.get()?;
            let client = text(reader.get_id(), "id")?;
            Ok(pool.set_rate(client, reader.get_rate()).await?)
        }
    }

    fn forget(
        self: Rc<Self>,
        params: pool_admin::ForgetParams,
        _results: pool_admin::ForgetResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let pool = self.object();
        async move {
            let worker = text(params.get()?.get_worker(), "worker")?;
            Ok(pool.forget(worker).await?)
        }
    }

    fn drain(
        self: Rc<Self>,
        params: pool_admin::DrainParams,
        _results: pool_admin::DrainResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let pool = self.object();
        async move {
            let reader = params.get()?;
            let worker = text(reader.get_worker(), "worker")?;
            let progress = capability(reader.get_progress(), "progress")?.map(Progress::from_raw);
            drop(params);
            Ok(pool.drain(worker, progress).await?)
        }
    }
}

impl<S: ServePoolAdmin> temporary_pause::Server for Served<S> {
    fn pause_worker(
        self: Rc<Self>,
        params: temporary_pause::PauseWorkerParams,
        _results: temporary_pause::PauseWorkerResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let pool = self.object();
        async move {
            let reader = params.get()?;
            let worker = text(reader.get_worker(), "worker")?;
            Ok(pool.pause_worker(worker, reader.get_paused()).await?)
        }
    }
}

impl<S: ServePoolAdmin> pool_details::Server for Served<S> {
    fn details(
        self: Rc<Self>,
        _params: pool_details::DetailsParams,
        mut results: pool_details::DetailsResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let pool = self.object();
        async move {
            let details = pool.details().await?;
            Ok(details.write(results.get().init_details())?)
        }
    }

    fn worker_details(
        self: Rc<Self>,
        params: pool_details::WorkerDetailsParams,
        mut results: pool_details::WorkerDetailsResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let pool = self.object();
        async move {
            let worker = text(params.get()?.get_worker(), "worker")?;
            let details = pool.worker_details(worker).await?;
            Ok(details.write(results.get().init_details())?)
        }
    }
}

impl<S: ServePoolAdmin> pool_control::Server for Served<S> {
    fn overview(
        self: Rc<Self>,
        params: pool_control::OverviewParams,
        mut results: pool_control::OverviewResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let pool = self.object();
        async move {
            let most = params.get()?.get_most();
            let overview = pool.overview(most).await?;
            Ok(overview.write(results.get().init_overview())?)
        }
    }

    fn pause(
        self: Rc<Self>,
        params: pool_control::PauseParams,
        _results: pool_control::PauseResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let pool = self.object();
        async move {
            let reader = params.get()?;
            let worker = text(reader.get_worker(), "worker")?;
            let pause = NewPause {
                by: text(reader.get_by(), "by")?,
                note: text(reader.get_note(), "note")?,
                auto_create: reader.get_auto_create(),
                until_reconnect: reader.get_until_reconnect(),
            };
            Ok(pool.pause(worker, pause).await?)
        }
    }

    fn cancel(
        self: Rc<Self>,
        params: pool_control::CancelParams,
        mut results: pool_control::CancelResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let pool = self.object();
        async move {
            let reader = params.get()?;
            let (ticket, by) = (reader.get_ticket(), text(reader.get_by(), "by")?);
            let worker = pool.cancel(ticket, by).await?;
            results.get().set_worker(worker.unwrap_or_default());
            Ok(())
        }
    }
}

impl<S: ServePoolAdmin> extended_pool_admin::Server for Served<S> {}
