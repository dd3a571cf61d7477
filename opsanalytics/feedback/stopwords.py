"""Words that say nothing about the subject, for the languages feedback most often comes in.

English is scikit-learn's list in spirit, less its subject words ("bill", "fire", "system", ...) and less
negations, which do carry meaning in feedback ("not working", "can't log in").
"""

_ENGLISH = """
a about above actually after again all almost already also although always am an and another any anybody
anyone anything anyway anywhere are aren't around as ask asked asking at away back be became because
become been before being below best between both but by came can come comes could did didn't do does doing
done don't down during each either else etc even ever every everyone everything few find for found from
further get gets getting give given go goes going gone got had has have haven't having he hello help hence
her here hers hey hi him his hope how however i i'd i'll i'm i've if in indeed instead into is isn't it
it'd it'll its just keep know last least less let let's like likely little look lot lots made make makes
many may maybe me mean might mine more most much must my myself need needs neither new next nor now of off
often ok okay on once one only or other others otherwise our ours out over own per perhaps please possible
put quite rather re really regarding said same saw say says see seem seemed seems seen several shall she
should since so some somebody somehow someone something sometimes somewhere still such sure take taken
tell than thank thanks that that'd the their theirs them themselves then there there's thereby therefore
these they they're thing things think this those though thought through throughout thus time to together
too toward towards two three four five ten first second tried try trying under until up upon us use used
using usually various very via want wanted wants was wasn't way we we'd we'll we're we've well went were
what whatever when whenever where whereas wherever whether which while who whoever whole whom whose why
will wish with within would yes yet you you'd you'll you're you've your yours yourself
"""
_GERMAN = """
aber als am an auch auf aus bei beim bin bis bitte da damit danke dann das dass dem den der des die dies
diese dieser doch dort du durch ein eine einem einen einer eines er es euch für gibt habe haben hat hatte
hier ich ihr ihre im immer in ist ja kann können man mehr mein meine meiner mich mir mit nach noch nun nur
ob oder ohne schon sehr sein seine sich sie sind so um und uns unser vom von vor war waren was wenn wer
wie wieder wird wo wurde zu zum zur über
"""
_FRENCH = """
ai alors après au aussi autre aux avec avoir bonjour c'est car ce cela ces cet cette comme dans de depuis
des donc du elle elles en est et été être eu fait faire fois il ils j'ai je la le les leur lui là ma mais
me même mes mon nos notre nous on ont ou où par parce pas peut plus pour pourquoi que quand quel qu'il qui
sa se ses si son sont sur ta te tes toi ton tout toute tous trop très tu un une vos votre vous y à ça
étais était merci
"""
_SPANISH = """
al algo ante antes aunque aún así como con cuando de del desde donde dos el ella ellos en entre era es esa
ese eso esta estaba estar este esto está están fue gracias ha hace hacer hasta hay he hola la las le les
lo los me mi mis muy más nos nosotros o para pero por porque puede puedo que qué quien se ser si sido sin
sobre solo son su sus sí también te tengo tiene todo todos tu tus un una uno unos usted y ya yo él
"""
_PORTUGUESE = """
ao aos aquele as até com como da das de dela dele depois do dos e ela ele eles em entre era essa esse esta
estava este eu foi já lhe mais mas me mesmo meu minha muito na nas no nos nós num numa não o obrigado os
ou para pela pelo por quando que quem se sem ser seu seus sua são também te tem tenho ter tudo um uma você
vocês à às é está estou
"""
_ITALIAN = """
ai al alla alle anche ancora che chi ci ciao come con cosa cui da dal dalla degli dei del della delle di
dove e ed era fa gli grazie ha hanno ho i il in io la le lei lo loro lui ma mi mia mio molto ne nei nel
nella noi nostro o per perché più poi può quando quello questa questo qui se sei si sono sta stato su sua
sul sulla suo tra tu tutti tutto un una uno va vi voi è
"""
_DUTCH = """
aan al als alleen alles altijd andere ben bij daar dan dat de deze die dit doen door dus een en er ge geen
geweest haar had heb hebben heeft hem het hier hij hoe hun ik in is je kan kunnen maar mag me meer men met
mij mijn moet na naar nog nu of om omdat onder ons ook op over reeds te tegen toch toen tot u uit uw van
veel voor waar want waren was wat we wel werd wie wij wil worden wordt ze zei zelf zich zij zijn zo zonder
zou
"""

_RUSSIAN = """
а бы был была были было быть в вам вас весь во вот все всё вы где да для до его ее её если есть еще
ещё же за и из или им их к как когда кто ли меня мне мои мой моя мы на над нам нас но о об он она
они оно от по под после почему при с себя со так также там то тоже только ты у уже что чтобы эта эти
это этот я
"""

STOP_WORDS = frozenset(
    " ".join((_ENGLISH, _GERMAN, _FRENCH, _SPANISH, _PORTUGUESE, _ITALIAN, _DUTCH, _RUSSIAN)).split()
)

_VAGUE = """
able absolutely action actual added adding allow allowed among anymore appear appears attached attention
based believe better big bit case cases certain change changed clear clearly common complete completely
concern consider considered current date day days deal deserve different difficult doing due easy entire
exactly example examples expect expected explain expressed extent fact fine fix following full general
gist good great guess happen happened happening happens hard help helpful high hope hour hours idea ideas
image important include including info instance interested interesting issue issues kind known large
later life long longer low main major matter mention mentioned minute minutes month months necessary new
nice number obvious often old opinion original part particular past people person personal place point
points present pretty previous problem problems proper provide put question read real reason reasons
recent regard relevant request required result right sense significant simple single site situation small
someone soon sort specific start started state stop strange stuff sudden suggest suppose surprised taking
talk talking think thinking time times today tomorrow tonight topic true type understand understanding
usual valid view wait waiting week weeks wonder wondering word words work worked working works world
worth wrong year years yesterday
"""
VAGUE = frozenset(_VAGUE.split())
"""English words that carry meaning in a message and name no subject alone ("wrong", "people"); in a pair
they may ("wrong amount")."""
_ADVERB_LIKE = """
ally anomaly apply assembly belly bully butterfly daily family fly homily italy jelly july monopoly monthly
multiply reply supply weekly yearly
"""
ADVERB_LIKE = frozenset(_ADVERB_LIKE.split())
"""English words with the ending of adverbs that are none."""
