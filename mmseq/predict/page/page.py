"""The web page of `mmseq demo-app`, made with gradio: loopback, no analytics, nothing from outside."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from html import escape
from types import ModuleType
from typing import Any

from mmengine.logging import MMLogger

from mmseq.errors import InputError
from mmseq.predict.page.bounded_files import BoundedFiles
from mmseq.predict.page.own_address import OwnAddress
from mmseq.predict.page.results import Results
from mmseq.predict.page.style import CSS, LOGO
from mmseq.predict.page.viewer import Viewer

# Seconds between two searches for old files, and the age at which an upload and its results are deleted.
CLEANING = (300, 1800)
# Visitors whose latest result is kept, of some 20 to 200 MB each, and bytes of all results together.
SESSIONS, MOST_BYTES = 16, 512 * 2**20
# Bytes of all uploads and drawn pictures on the disk.
MOST_FILES = 512 * 2**20
HINT = 'Click on the picture to see what the network looks at there.'


def require_gradio() -> ModuleType:
    """Import gradio with its analytics switched off.

    Raises:
        InputError: it is not installed.
    """
    os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'
    try:
        import gradio
    except ImportError as error:
        raise InputError("the web page needs gradio: pip install 'mmseq[app]'") from error
    return gradio


class Page:
    """The components of the page and their events.

    Args:
        viewer: computes what is shown.
        title: shown beside the name of the package.
        facts: short texts on the model, for the head of the page.
    """

    def __init__(self, viewer: Viewer, title: str, facts: Sequence[str]) -> None:
        self.viewer = viewer
        self.results = Results(SESSIONS, MOST_BYTES)
        self.gr = require_gradio()
        gr = self.gr
        with gr.Blocks(title=f'mmseq · {title}', analytics_enabled=False, delete_cache=CLEANING) as self.blocks:
            gr.HTML(header(title, facts))
            self.key = gr.State(None, time_to_live=CLEANING[1], delete_callback=self.results.drop)
            self.point = gr.State((0.5, 0.5))
            with gr.Row(equal_height=False, elem_classes='mmseq-panes'):
                with gr.Column(scale=4, min_width=280):
                    self._inputs()
                with gr.Column(scale=8, min_width=360):
                    self._results()
                with gr.Column(scale=4, min_width=240):
                    self.legend = gr.HTML(empty_legend(), elem_id='legend')
            self._events()

    def _inputs(self) -> None:
        gr, limits = self.gr, self.viewer.limits
        if self.viewer.predictor.from_files_alone:
            self.upload = gr.File(label='Picture', elem_id='upload', height=200)
        else:
            sources = ['upload', 'clipboard']
            words = '# Drop a picture here\nor click to choose one'
            self.upload = gr.Image(
                label='Picture', sources=sources, height=260, elem_id='upload', buttons=[], placeholder=words
            )
        taken = f'Up to {limits.bytes / 2**20:g} MB and {limits.pixels / 1e6:g} million pixels'
        kept = f'It goes nowhere but to this server, which keeps it for {CLEANING[1] // 60} minutes at most.'
        gr.HTML(f'<p class="mmseq-hint">{taken}. {kept}</p>')
        self.message = gr.HTML('', elem_id='message', visible=False)
        self.score = gr.Slider(
            0, 1, 0.3, step=0.01, label='Lowest score shown', visible=self.viewer.detects, elem_id='score'
        )
        self.opacity = gr.Slider(0, 1, 0.5, step=0.05, label='Opacity of areas', elem_id='opacity')

    def _results(self) -> None:
        gr = self.gr
        shown = dict(format='png', interactive=False, show_label=False, buttons=['download', 'fullscreen'])
        with gr.Tabs() as self.tabs:
            with gr.Tab('Prediction', id='prediction'):
                self.overlay = gr.Image(label='Prediction', elem_id='overlay', **shown)
                gr.HTML(f'<p class="mmseq-hint">{HINT}</p>')
            with gr.Tab('Receptive field', id='field') as self.tab:
                strides = [(f'stride {stride:g}', level) for level, stride in enumerate(self.viewer.strides)]
                self.level = gr.Radio(
                    strides, value=len(strides) - 1, label="Level of the backbone's pyramid", elem_id='level'
                )
                self.field = gr.Image(label='Receptive field', elem_id='field', **shown)
                self.sentence = gr.HTML('', elem_id='sentence')

    def _events(self) -> None:
        # One after another: there is one model, and its receptive fields change it for a moment.
        once = dict(concurrency_limit=1, concurrency_id='model', api_visibility='private')
        prediction_outputs = [self.overlay, self.legend]
        field_outputs = [self.tabs, self.point, self.field, self.sentence]
        everything = [self.upload, self.key, self.message, *prediction_outputs, *field_outputs]
        uploaded = [self.upload, self.key, self.score, self.opacity]
        # Not on change, which would also fire when a refused picture is removed. Without gradio's preprocessing, which
        # decodes the whole file before its size can be checked; gradio checks in any case that it was uploaded.
        for event in (self.upload.upload, self.upload.clear):
            event(self.show_upload, uploaded, everything, preprocess=False, **once)
        for slider in (self.score, self.opacity):
            slider.release(self.draw, [self.key, self.score, self.opacity], prediction_outputs, **once)
        field_inputs = [self.key, self.level, self.point]
        self.level.input(self.show_field, field_inputs, field_outputs, **once)
        self.tab.select(self.show_field, field_inputs, field_outputs, **once)
        for picture in (self.overlay, self.field):
            picture.select(
                with_clicked_pixel(self.gr, self.show_field_at), [self.key, self.level], field_outputs, **once
            )

    def show_upload(
        self, file: dict[str, Any] | None, before: str | None, score: float, opacity: float
    ) -> dict[Any, Any]:
        """Predict an upload, gradio's ``FileData``, or empty the page if it is None.

        Args:
            file: the upload.
            before: the key of the result that it takes the place of.
            score: see :meth:`draw`.
            opacity: see there.
        """
        gr = self.gr
        self.results.drop(before)
        blank = {
            self.key: None,
            self.message: gr.HTML('', visible=False),
            self.overlay: None,
            self.legend: empty_legend(),
            self.tabs: gr.Tabs(selected='prediction'),
            self.point: (0.5, 0.5),
            self.field: None,
            self.sentence: '',
        }
        if file is None:
            return blank
        try:
            result = self.viewer.predict(file['path'], os.path.basename(file['path']))
        except InputError as error:
            return {**blank, self.upload: None, self.message: gr.HTML(notice(str(error)), visible=True)}
        key = self.results.keep(result)
        return {**blank, self.key: key, **self.draw(key, score, opacity)}

    def draw(self, key: str | None, score: float, opacity: float) -> dict[Any, Any]:
        """The prediction at another score or opacity."""
        try:
            result = self.results.find(key)
        except InputError as error:
            return {self.overlay: None, self.legend: card(notice(str(error)))}
        return {
            self.overlay: self.viewer.overlay(result, score, opacity),
            self.legend: card(self.viewer.legend(result, score)),
        }

    def show_field(self, key: str | None, level: int, point: tuple[float, float]) -> dict[Any, Any]:
        """The receptive field of a level at a point, in shares of the picture."""
        try:
            picture, text = self.viewer.receptive_field(self.results.find(key), level, point)
            self.results.fit()
        except InputError as error:
            return {self.field: None, self.sentence: notice(str(error))}
        sentence = f'<p class="mmseq-sentence">{escape(text)} Click to move it.</p>'
        return {self.field: picture, self.sentence: sentence, self.point: point}

    def show_field_at(self, key: str | None, level: int, place: Any) -> dict[Any, Any]:
        """The receptive field at a pixel (across, down) of a picture that is shown, as the browser tells it."""
        tab = {self.tabs: self.gr.Tabs(selected='field')}
        try:
            point = share_of(place, self.results.find(key).prediction.size)
        except InputError as error:
            return {**tab, self.field: None, self.sentence: notice(str(error))}
        return {**tab, **self.show_field(key, level, point)}

    def launch(self, host: str, port: int | None, *, browser: bool = False) -> str:
        """Serve the page from a thread; returns its address.

        Args:
            host: address to listen at; loopback is seen by this machine alone.
            port: None for 7860 or the next that is free.
            browser: open it.

        Raises:
            InputError: the port is in use, or the address is not of this machine.
        """
        # With gradio.
        from starlette.middleware import Middleware

        gr = self.gr
        try:
            _, address, _ = self.blocks.queue(max_size=32).launch(
                server_name=host,
                server_port=port,
                share=False,
                inbrowser=browser,
                prevent_thread_lock=True,
                quiet=True,
                max_file_size=self.viewer.limits.bytes,
                state_session_capacity=SESSIONS,
                app_kwargs=dict(
                    middleware=[
                        Middleware(OwnAddress, host=host),
                        Middleware(BoundedFiles, sets=self.blocks.temp_file_sets, most=MOST_FILES),
                    ]
                ),
                footer_links=[],
                run_history=False,
                enable_monitoring=False,
                ssr_mode=False,
                pwa=False,
                mcp_server=False,
                theme=theme(gr),
                css=CSS,
            )
        except OSError as error:
            raise InputError(f'{host}:{port or ""}: cannot listen there ({error}); try another --port') from error
        finally:
            forget_closed_logs()
        return address


def forget_closed_logs() -> None:
    """The web server closes every log file of the process; mmengine would write into that of an earlier training."""
    logger = MMLogger.get_current_instance()
    for handler in list(logger.handlers):
        if isinstance(handler, logging.FileHandler) and handler.stream is None:
            logger.removeHandler(handler)


def theme(gr: ModuleType) -> Any:
    """Gradio's soft theme in our colours, with fonts that are there already."""
    base = gr.themes.Soft(
        primary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.slate,
        font=['Inter', 'system-ui', 'sans-serif'],
        font_mono=['ui-monospace', 'monospace'],
    )
    subdued = '*body_text_color_subdued'
    return base.set(
        body_background_fill='*neutral_50',
        block_border_width='1px',
        block_title_background_fill='transparent',
        block_title_background_fill_dark='transparent',
        block_title_text_color=subdued,
        block_title_text_color_dark=subdued,
        block_title_text_weight='500',
        block_title_padding='0',
        block_label_background_fill='*neutral_100',
        block_label_background_fill_dark='*neutral_700',
        block_label_text_color=subdued,
        block_label_text_color_dark=subdued,
        block_label_text_weight='500',
        block_label_text_size='*text_sm',
    )


def share_of(place: Any, size: tuple[int, int]) -> tuple[float, float]:
    """A pixel (across, down) in shares of a picture of this height and width.

    Raises:
        InputError: it is no pixel of the picture; programs send anything.
    """
    height, width = size
    if not isinstance(place, (list, tuple)) or len(place) != 2 or not all(isinstance(one, int) for one in place):
        raise InputError('This is no place in the picture: give two whole numbers.')
    if not (0 <= place[0] < width and 0 <= place[1] < height):
        raise InputError(f'This is no place in the picture, which has {width} x {height} px.')
    return (place[0] + 0.5) / width, (place[1] + 0.5) / height


def with_clicked_pixel(gr: ModuleType, handler: Callable[..., Mapping[Any, Any]]) -> Callable[..., Mapping[Any, Any]]:
    """A handler whose last argument is the clicked pixel; gradio passes the event by its annotation."""

    def handle(key: str | None, level: int, event: Any) -> Mapping[Any, Any]:
        return handler(key, level, event.index)

    handle.__annotations__['event'] = gr.SelectData
    return handle


def header(title: str, facts: Sequence[str]) -> str:
    """HTML of the head of the page."""
    listed = ''.join(f'<span>{escape(fact)}</span>' for fact in facts)
    return (
        f'<header class="mmseq-head">{LOGO}<h1>mmseq</h1><h2>{escape(title)}</h2>'
        f'<div class="mmseq-badges">{listed}</div></header>'
    )


def empty_legend() -> str:
    """HTML of the legend before there is a picture."""
    return card('<h3>Classes</h3><p class="mmseq-facts">Drop a picture; what is found on it stands here.</p>')


def card(html: str) -> str:
    """HTML in a frame."""
    return f'<div class="mmseq-card">{html}</div>'


def notice(text: str) -> str:
    """HTML of an error message."""
    return f'<div class="mmseq-notice" role="alert">{escape(text)}</div>'
