"""`tidemark portfolio`: what all positions come to together, beside what they may."""

import typer

from pipeline.cli.beside import Where
from pipeline.cli.figures import amount
from pipeline.cli.output import Json, Wide, print_json, print_table
from pipeline.cli.table import Column

app = typer.Typer()

USES = (
    *(Column("in % of the equity"), Column("now", 1, right=True), Column("at most", 2, right=True)),
    Column("setting in [portfolio]", 3),
    Column("would refuse", 4),
)


@app.command(epilog="Example: [bold]TIDEMARK_PORTFOLIO__GROSS_PERCENT=200 tidemark portfolio[/bold]")
def portfolio(exchange: Where = None, wide: Wide = False, as_json: Json = False) -> None:
    """What all positions together take of the account, and what they may take: as the executor stored it last. What is
    over a cap keeps more of it from being opened; it closes nothing."""
    from pipeline.app.beside import begin_beside  # noqa: PLC0415
    from pipeline.app.portfolio import portfolios  # noqa: PLC0415
    from pipeline.cli.beside import answering  # noqa: PLC0415

    settings = begin_beside(exchange)
    with answering(settings, as_json=as_json) as (tm, stands):
        found = portfolios(tm)
    if as_json:
        told = [
            {
                "asset": one.asset,
                "equity": one.equity,
                "at": one.at,
                "caps": [
                    {
                        "counts": use.cap.called,
                        "setting": use.cap.setting,
                        "now_pct": use.now,
                        "most_pct": use.most,
                        "refuses": one.refuses(use),
                    }
                    for use in one.uses
                ],
            }
            for one in found
        ]
        print_json({"environment": settings.environment, "standing": stands, "portfolios": told})
        return
    if not found:
        typer.echo(
            f"No snapshot of the account at {settings.environment} yet: `tidemark execute` takes them.", err=True
        )
    for one in found:
        typer.echo(f"{one.asset}: equity {amount(one.equity)}")
        print_table(
            USES,
            [
                (
                    use.cap.called,
                    f"{use.now:.2f}",
                    "no cap" if use.most is None else f"{use.most:f}",
                    use.cap.setting,
                    one.refuses(use) or "",
                )
                for use in one.uses
            ],
            wide=wide,
        )
        for sentence in one.over:
            typer.echo(sentence)
