"""How the web page looks; its fonts and drawings are of the browser and of this file, nothing is fetched."""

LOGO = (
    '<svg class="mmseq-logo" viewBox="0 0 48 48" aria-hidden="true">'
    '<rect x="1" y="1" width="46" height="46" rx="12" fill="#0f766e"/>'
    '<g stroke="#5eead4" stroke-width="2.6" stroke-linecap="round" fill="none">'
    '<path d="M10 16h26m-5-5 5 5-5 5"/><path d="M38 32H12m5-5-5 5 5 5" opacity=".75"/></g>'
    '<g stroke="#fff" stroke-width="2.6" stroke-linecap="round" fill="none">'
    '<path d="M18 10v27m-5-5 5 5 5-5" opacity=".9"/><path d="M30 38V11m-5 5 5-5 5 5" opacity=".55"/></g></svg>'
)

CSS = """
.gradio-container { max-width: 1500px !important; margin: 0 auto; }
.mmseq-head { display: flex; align-items: center; gap: .8rem; flex-wrap: wrap; padding: .4rem 0 .6rem; }
.mmseq-logo { width: 2.6rem; height: 2.6rem; flex: none; }
.mmseq-head h1 { font-size: 1.7rem; font-weight: 750; letter-spacing: -.02em; margin: 0; line-height: 1; }
.mmseq-head h2 { font-size: 1rem; font-weight: 500; margin: .35rem 0 0; color: var(--body-text-color-subdued); }
.mmseq-badges { margin-left: auto; display: flex; gap: .4rem; flex-wrap: wrap; }
.mmseq-badges span { font-size: .78rem; padding: .18rem .6rem; border-radius: 99px; color: var(--body-text-color);
  background: var(--background-fill-secondary); border: 1px solid var(--border-color-primary); }
.mmseq-card { background: var(--block-background-fill); border: 1px solid var(--border-color-primary);
  border-radius: var(--radius-lg); padding: 1rem 1.1rem; box-shadow: var(--shadow-drop); }
.mmseq-card h3 { margin: 0; font-size: 1.05rem; font-weight: 650; }
.mmseq-facts, .mmseq-more { margin: .15rem 0 .7rem; font-size: .8rem; color: var(--body-text-color-subdued);
  overflow-wrap: anywhere; }
.mmseq-legend { list-style: none; margin: 0; padding: 0; display: grid; gap: .5rem; }
.mmseq-legend li { display: grid; grid-template-columns: 1rem 1fr auto; gap: .1rem .55rem; align-items: center;
  margin: 0; font-size: .9rem; }
.mmseq-legend i { width: 1rem; height: 1rem; border-radius: .3rem; box-shadow: inset 0 0 0 1px rgb(128 128 128 / .5); }
.mmseq-legend b { font-weight: 550; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.mmseq-legend span { text-align: right; font-variant-numeric: tabular-nums; font-size: .84rem;
  color: var(--body-text-color-subdued); }
.mmseq-legend small { font-size: .74rem; font-variant-numeric: tabular-nums; text-align: right;
  color: var(--body-text-color-subdued); }
.mmseq-legend small:empty { display: none; }
.mmseq-legend u:has(+ small:empty) { grid-column: 2 / 4; }
.mmseq-legend u { grid-column: 2; height: .28rem; border-radius: 99px; text-decoration: none;
  background: var(--border-color-primary); overflow: hidden; }
.mmseq-legend s { display: block; height: 100%; border-radius: 99px; min-width: 2px; }
.mmseq-hint { margin: 0; font-size: .84rem; color: var(--body-text-color-subdued); text-align: center; }
.mmseq-sentence { margin: .5rem 0 0; font-size: .9rem; line-height: 1.5; }
.mmseq-notice { border: 1px solid #fca5a5; background: #fef2f2; color: #991b1b; border-radius: var(--radius-lg);
  padding: .7rem .9rem; font-size: .92rem; overflow-wrap: anywhere; }
.dark .mmseq-notice { background: #450a0a; color: #fecaca; border-color: #7f1d1d; }
#legend .html-container { padding: 0; }
#overlay, #field { min-height: 18rem; }
#overlay img, #field img { cursor: crosshair; width: 100%; max-height: 68vh; object-fit: contain; }
"""
